-- A round trip that writes.  KEYS[1] tag of the fleet; ARGV[2] node, ARGV[3] a name for the history if there is none.
-- Answers the history's name, the count of the node's probes, the time in microseconds.
call('HDEL', P .. 'n', '') -- a full Redis refuses the first write that takes room and no later one
call('SET', P .. 'genesis', ARGV[3], 'NX')
return {call('GET', P .. 'genesis'), call('HINCRBY', P .. 'beats', ARGV[2], 1), format('%.0f', micros)}
