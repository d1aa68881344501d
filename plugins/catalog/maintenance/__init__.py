"""``maintenance.prune``: keeps the history from growing for ever."""
