"""Numbers and maps as tables, texts and pictures."""
