-- ARGV[2] seconds that the stream's entries are kept.
local before = call('XLEN', P .. 'ev')
if before == 0 then return 0 end
call('XTRIM', P .. 'ev', 'MINID', '~', format('%.0f', max(0, (now - tonumber(ARGV[2])) * 1000)))
local left = call('XLEN', P .. 'ev')
if left < before then
  local bytes = tonumber(call('HGET', P .. 'c', 'bytes') or '0')
  call('HSET', P .. 'c', 'bytes', floor(bytes * left / before))
end
return before - left
