"""How data sets lie on disk, and who is in which split."""
