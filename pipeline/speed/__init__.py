"""What networks and stages cost."""
