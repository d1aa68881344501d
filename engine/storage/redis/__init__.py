"""Jobs in Redis: moves as Lua scripts, and the way to the servers that run them."""
