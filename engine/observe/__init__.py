"""Health, metrics and what needs attention, derived from events and counts; the engine never calls them."""
