"""What each edge of the graph does, on arrays and tensors; knows neither Luigi nor disk."""
