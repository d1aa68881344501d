-- ARGV[2] token of a claim that took jobs from other queues too: its one job here was not claimed alone.
local kept = call('HGET', P .. 'xl', ARGV[2])
if kept then call('HSET', P .. 'xl', ARGV[2], '0' .. sub(kept, 2)) end
return 1
