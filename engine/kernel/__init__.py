"""The words every other part speaks: job states, events, errors, the clock and the settings."""
