-- ARGV[2] at, ARGV[3] who, ARGV[4] the queue's name, ARGV[5] and ARGV[6] how long and how many results are kept, ARGV[7…] ids.
-- Answers {the state that each id was found in or '', events, their blob}.  A job that a node holds for itself is left to it.
local at, by, queue, ttl, limit = tonumber(ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
mark = '0'
local ids = {}
for i = 7, #ARGV do ids[#ids + 1] = ARGV[i] end
local recs, found, waiting, waiting_recs, ends = records(ids), {}, {}, {}, {}

local function ask(id, record)
  if sub(record, 23, 23) == '1' then return end
  call('HSET', P .. 'm', id, sub(record, 1, 22) .. '1' .. sub(record, 24))
  local token = sub(record, 6, 21)
  local asked = call('HGET', P .. 'cx', token)
  call('HSET', P .. 'cx', token, asked and asked .. ' ' .. id or id)
  tell({'Q', at, id, by, queue})
end

for i = 1, #ids do
  local record = recs[i]
  local state = record and sub(record, 1, 1) or ''
  found[i] = state
  if state == 'R' then
    ask(ids[i], record)
  elseif state ~= '' and state ~= 'D' and state ~= 'O' then
    local k = #waiting + 1
    waiting[k], waiting_recs[k] = ids[i], record
    ends[k] = tell_end('X', at, ids[i], 0, 0, '', 0, by, queue)
  end
end
if #waiting > 0 then end_for_good('X', waiting, waiting_recs, ends, nil, ttl, limit) end
local n, blob = settle('', 0)
return {found, n, blob}
