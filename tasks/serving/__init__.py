"""The yes/no page: a local server that shows one photo at a time and keeps each answer at once."""
