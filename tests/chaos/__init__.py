"""Many rounds of kills and faults on real nodes and a real Redis, and the account of what became of every job."""
