"""Searches for parameters on a few images that have masks."""
