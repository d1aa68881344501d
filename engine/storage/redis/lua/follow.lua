-- How far a reader of the stream is.  ARGV[2] reader ('' to only look), ARGV[3] id of the last entry that it has, or '0-0'.
-- What live readers lack is trimmed last; readers that were away for a day are forgotten.  Answers the entries ever written.
if ARGV[2] ~= '' then
  local kept = call('HGETALL', P .. 'rd')
  for i = 1, #kept, 2 do
    local _, _, seen = string.find(kept[i + 1], '^(%d+) ')
    if tonumber(seen) / 1000 < now - 86400 then call('HDEL', P .. 'rd', kept[i]) end
  end
  call('HSET', P .. 'rd', ARGV[2], format('%.0f ', micros / 1000) .. ARGV[3])
end
return tonumber(call('HGET', P .. 'c', 'entries') or '0')
