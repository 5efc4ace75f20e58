"""What every stage and question stands on: identity, cache, settings, processes, console."""
