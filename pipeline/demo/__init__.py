"""Photos of cracks that are drawn, with their exact masks."""
