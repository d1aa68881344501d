"""Many engines as one: presence, commands, messages."""
