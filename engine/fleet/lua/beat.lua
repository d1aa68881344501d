-- An agent says that it is there.  KEYS[1] tag of the fleet; ARGV[1] agent, ARGV[2] name of this start of it,
-- ARGV[3] `up` or `gone`, ARGV[4] what it tells of itself.
-- Answers the time in microseconds, how many queues the fleet has, 1 if another start of the same agent wrote last, and
-- the messages in its box.  A record is `time start state what-it-tells`.
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000000 + time[2])
local agents, box = KEYS[1] .. 'agents', KEYS[1] .. 'box:' .. ARGV[1]
local before = redis.call('HGET', agents, ARGV[1])
local other = 0
if before and string.match(before, '^%d+ (%S+) ') ~= ARGV[2] then other = 1 end
redis.call('HSET', agents, ARGV[1], now .. ' ' .. ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[4])
return {now, redis.call('SCARD', KEYS[1] .. 'queues'), other, redis.call('ZRANGE', box, 0, -1)}
