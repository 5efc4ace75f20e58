"""What a user asks of the stages: nothing of it is cached."""
