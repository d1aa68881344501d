-- ARGV[2] at, ARGV[3] who, ARGV[4] the queue's name, ARGV[5] seconds over which they are spread, ARGV[6…] ids of jobs that
-- are dead, backing off or scheduled; others are left alone.  Answers {ids moved, events, their blob}.
local at, by, queue, over = tonumber(ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[5])
mark = '0'
local ids = {}
for i = 6, #ARGV do ids[#ids + 1] = ARGV[i] end
local recs, moved, old = records(ids), {}, {}
for i = 1, #ids do
  if recs[i] and string.find('DYS', sub(recs[i], 1, 1), 1, true) then
    moved[#moved + 1], old[#old + 1] = ids[i], recs[i]
  end
end
if #moved == 0 then return {moved, 0, ''} end

-- a dead job gets more attempts and a clean record of crashes
local function sent_back(id, record, attempts)
  local counted_so_far = u32(record, 2) - u32(record, 25)
  record = with_u32(record, 29, counted_so_far + attempts - u32(record, 33))
  record = sub(record, 1, 36) .. '\0\0' .. sub(record, 39, 39) .. '0' .. sub(record, 41)
  if byte(record, 39) == 49 then
    local key = call('HGET', P .. 'uk', id)
    if key then call('HSETNX', P .. 'u', key, id) end
  end
  return record
end

leave(moved, old)
local gap = over / #moved
local flat, due, ready, ready_recs = {}, {}, {}, {}
for i = 1, #moved do
  local id, record = moved[i], old[i]
  local attempts = max(1, u32(record, 33))
  local run_at = gap > 0 and i > 1 and at + gap * (i - 1) or 0
  local was_dead = sub(record, 1, 1) == 'D'
  tell({'T', at, id, by, attempts, run_at, queue})
  if was_dead then record = sent_back(id, record, attempts) end
  local state = was_dead and run_at > 0 and 'S' or 'A'
  record = state .. sub(record, 2)
  flat[2 * i - 1], flat[2 * i] = id, record
  if state == 'S' then
    due[#due + 1] = format('%.17g', run_at)
    due[#due + 1] = id
  else
    ready[#ready + 1], ready_recs[#ready_recs + 1] = id, record
  end
end
put_flat('m', flat)
if #due > 0 then call('ZADD', P .. 's', unpack(due)) end
push_all(ready, ready_recs, false)
count('S', #due / 2)
count('A', #ready)
wake()
local n, blob = settle('', 0)
return {moved, n, blob}
