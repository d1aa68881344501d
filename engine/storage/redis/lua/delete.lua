-- ARGV[2] at, ARGV[3] who, ARGV[4] the queue's name, ARGV[5…] ids.  Answers {the state that each id was found in, '' for
-- unknown ones, 'R' and 'O' for those that stay, events, their blob}.
local at, by, queue = tonumber(ARGV[2]), ARGV[3], ARGV[4]
local ids, found, gone, gone_recs = {}, {}, {}, {}
for i = 5, #ARGV do ids[#ids + 1] = ARGV[i] end
local recs = records(ids)
for i = 1, #ids do
  local id, record = ids[i], recs[i]
  found[i] = record and sub(record, 1, 1) or ''
  if not record and call('HDEL', P .. 'r', id) == 1 then
    found[i] = 'C'
    tell({'N', at, id, by, queue})
  elseif record and found[i] ~= 'R' and found[i] ~= 'O' then
    gone[#gone + 1], gone_recs[#gone_recs + 1] = id, record
    tell({'N', at, id, by, queue})
  end
end
if #gone > 0 then
  drop_jobs(gone)
  drop_sides(gone)
  leave(gone, gone_recs)
  for i = 1, #gone do
    if byte(gone_recs[i], 39) == 49 then free_unique(gone[i]) end
    call('ZREM', P .. 'e', gone[i])
  end
  ended(gone)
end
local n, blob = settle('', 0)
return {found, n, blob}
