-- Where the two lanes between a node and a queue stand.  ARGV[2] node, ARGV[3] epoch that from now on fences lower ones
-- (0 to only look).  Answers for `ends` and `jobs`: number and chain, or nothing where there is no mark.
-- A mark is kept as "epoch number chain" in one field of the hash `n`.
call('HDEL', P .. 'n', '') -- a full Redis refuses the first write that takes room and no later one
local answer, epoch = {}, tonumber(ARGV[3])
for index, kind in ipairs({'ends', 'jobs'}) do
  local field = ARGV[2] .. '|' .. kind
  local kept = call('HGET', P .. 'n', field)
  local kept_epoch, number, chain = 0, '0', string.rep('\0', 32)
  if kept then
    local _, to, a, b = string.find(kept, '^(%d+) (%d+) ')
    kept_epoch, number, chain = tonumber(a), b, sub(kept, to + 1)
  end
  if epoch > kept_epoch then call('HSET', P .. 'n', field, format('%.0f ', epoch) .. number .. ' ' .. chain) end
  answer[index] = kept and {number, chain} or false
end
return answer
