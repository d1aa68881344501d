"""Where jobs live: the contract (``base``), the fold of events that is the live state, and the memory backend."""
