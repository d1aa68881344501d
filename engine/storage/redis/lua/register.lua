-- Makes queues known to the fleet.  KEYS[1] tag of the fleet; ARGV[2…] their names.
call('HDEL', P .. 'epochs', '') -- a full Redis refuses the first write that takes room and no later one
return call('SADD', P .. 'queues', unpack(ARGV, 2))
