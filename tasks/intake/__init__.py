"""How photos and masks of users come in: places, archives, checks, the index."""
