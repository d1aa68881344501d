-- Takes an agent that is away off the list, with its box.  KEYS[1] tag of the fleet; ARGV[1] agent, ARGV[2] microseconds
-- after which it counts as away.  Answers 1 if it is gone, 0 if there is no such agent, -1 if it is there.
local time = redis.call('TIME')
local record = redis.call('HGET', KEYS[1] .. 'agents', ARGV[1])
if not record then return 0 end
local seen, state = string.match(record, '^(%d+) %S+ (%S+) ')
if state == 'up' and time[1] * 1000000 + time[2] - tonumber(seen) < tonumber(ARGV[2]) then return -1 end
redis.call('HDEL', KEYS[1] .. 'agents', ARGV[1])
redis.call('UNLINK', KEYS[1] .. 'box:' .. ARGV[1])
return 1
