"""How networks learn, whichever they are."""
