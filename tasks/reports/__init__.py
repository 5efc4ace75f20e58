"""What tables and messages say, and where their numbers come from."""
