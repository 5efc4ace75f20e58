"""The layers of the networks. Importing one loads torch, so it is done where the network is built."""
