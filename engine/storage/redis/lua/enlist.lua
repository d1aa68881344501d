-- Begins an epoch of a node.  KEYS[1] tag of the fleet; ARGV[2] node.
-- An epoch is the time in microseconds or one more than the last: also a Redis that went back in time, or was emptied, gives
-- a higher one than all before, so that an older process of the node stays fenced.
call('HDEL', P .. 'n', '') -- a full Redis refuses the first write that takes room and no later one
local last = tonumber(call('HGET', P .. 'epochs', ARGV[2]) or '0')
local epoch = format('%.0f', max(micros, last + 1))
call('HSET', P .. 'epochs', ARGV[2], epoch)
return epoch
