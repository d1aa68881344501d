-- All agents.  KEYS[1] tag of the fleet.  Answers the time in microseconds, and names and records in turn.
local time = redis.call('TIME')
return {string.format('%.0f', time[1] * 1000000 + time[2]), redis.call('HGETALL', KEYS[1] .. 'agents')}
