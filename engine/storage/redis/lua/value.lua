-- One small value of the fleet.  ARGV[2] what to do, ARGV[3] its key, then: set value ttl | swap expected-or-nothing
-- ("=" .. value or "") value-or-nothing ttl | increment amount | drop | sweep.  A ttl of '' is none.
-- kv hash key -> "%017.6f" expires (0 for never) .. value; kvx zset key -> expires.
local what, key = ARGV[2], ARGV[3]

local function present(name)
  local kept = call('HGET', P .. 'kv', name)
  if not kept then return false end
  local expires = tonumber(sub(kept, 1, 17))
  if expires > 0 and expires <= now then return false end
  return sub(kept, 18)
end

local function write(value, ttl)
  local expires = ttl ~= '' and now + tonumber(ttl) or 0
  call('HSET', P .. 'kv', key, format('%017.6f', expires) .. value)
  if ttl ~= '' then call('ZADD', P .. 'kvx', expires, key) else call('ZREM', P .. 'kvx', key) end
end

local function drop(name)
  call('ZREM', P .. 'kvx', name)
  return call('HDEL', P .. 'kv', name)
end

if what == 'get' then return present(key) end
if what == 'set' then write(ARGV[4], ARGV[5]) return 1 end
if what == 'swap' then
  local is = present(key)
  if ARGV[4] ~= (is and '=' .. is or '') then return 0 end
  if ARGV[5] == '' then drop(key) else write(sub(ARGV[5], 2), ARGV[6]) end
  return 1
end
if what == 'increment' then
  local is = present(key) or '0'
  local total = format('%.0f', tonumber(is) + tonumber(ARGV[4]))
  write(total, '')
  return total
end
if what == 'drop' then return drop(key) end
for _, name in ipairs(call('ZRANGEBYSCORE', P .. 'kvx', '-inf', now, 'LIMIT', 0, 500)) do drop(name) end
return 0
