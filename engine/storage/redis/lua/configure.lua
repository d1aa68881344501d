-- ARGV[2] concurrency or '', ARGV[3] and ARGV[4] rate and its period or '', ARGV[5] deadline or hold, ARGV[6…] tenants and
-- their weights in turns.
local function set(name, value)
  if value == '' then call('HDEL', P .. 'cfg', name) else call('HSET', P .. 'cfg', name, value) end
end
local old = call('HMGET', P .. 'cfg', 'rate', 'period')
set('conc', ARGV[2])
if ARGV[3] ~= '' and (old[1] ~= ARGV[3] or old[2] ~= ARGV[4]) then
  set('bucket', ARGV[3])
  set('bucket_at', format('%.6f', now))
end
set('rate', ARGV[3])
set('period', ARGV[4])
set('reclaim', ARGV[5])
call('DEL', P .. 'w')
for i = 6, #ARGV, 2 do call('HSET', P .. 'w', ARGV[i], ARGV[i + 1]) end
wake()
return 1
