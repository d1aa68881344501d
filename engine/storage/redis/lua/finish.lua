-- Ends of attempts, and the next claim with them.  ARGV[2] = {notes, starts, words, groups}, ARGV[3] the notes and then the
-- ends of the groups as written, ARGV[4] seconds that results are kept and ARGV[5] how many, ARGV[6] the agent, ARGV[7] what
-- is wanted (see claiming.lua) or ''.
-- notes = {how many, bytes}; starts = {{id, token, at}, …}; words = {{id, begin, bytes}, …} (progress, places in ARGV[3]);
-- group = {token, letter, ids, bytes of each, numbers, flags}: of R numbers are delays in seconds, of Z moments; flags has
-- "1" for attempts that had begun (Z, L) or are known to have (U).
-- Answers {indexes of stale ends (from 1, notes not counted), claim}.
local notes, starts, words, groups = unpack(cmsgpack.unpack(ARGV[2]))
local blob, ttl, limit = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
call('HDEL', P .. 'cx', '') -- a full Redis refuses the first write that takes room and no later one: ends must go through

for _, start in ipairs(starts) do
  local record = call('HGET', P .. 'm', start[1])
  if record and byte(record) == 82 and sub(record, 6, 21) == start[2] then
    call('HSET', P .. 'm', start[1],
      sub(record, 1, 21) .. '1' .. sub(record, 23, 48) .. pack('>d', start[3]) .. sub(record, 57))
  end
end
for _, word in ipairs(words) do
  if call('HEXISTS', P .. 'm', word[1]) == 1 then
    call('HSET', P .. 'p', word[1], sub(blob, word[2], word[2] + word[3] - 1))
  end
end

local stale, seen, index, at = {}, {}, notes[1], notes[2] + 1

-- an end that changes nothing
local function refuse(id, record, token, i)
  stale[#stale + 1] = i - notes[1]
  leave_out(i)
  if seen[id] then return end
  record = record or call('HGET', P .. 'r', id)
  local is = verdict(record, token)
  if is == 'late' then
    conflict(i, 'late', '')
  elseif is == 'over' then
    local first = sub(record, 1, 1) == 'D' and call('HGET', P .. 'f', id) or sub(record, record_bytes(record) + 1)
    conflict(i, 'result', first or '')
  end
end

for _, group in ipairs(groups) do
  local token, letter, ids, lens, numbers, flags = unpack(group)
  local live = records(ids)
  local done, recs, ends, nums, marks = {}, {}, {}, {}, {}
  for i = 1, #ids do
    index = index + 1
    local id, record = ids[i], live[i]
    local mine = record and byte(record) == 82 and sub(record, 6, 21) == token
    if not seen[id] and (mine or (record and byte(record) ~= 82 and verdict(record, token) == 'accept')) then
      local k = #done + 1
      seen[id] = true
      done[k], recs[k], ends[k], nums[k] = id, record, sub(blob, at, at + lens[i] - 1), numbers[i]
      if flags ~= '' then marks[k] = sub(flags, i, i) end
    else
      refuse(id, record, token, index)
    end
    at = at + lens[i]
  end
  if #done == 0 then
    -- nothing of this group counts
  elseif letter == 'C' or letter == 'X' then
    end_for_good(letter, done, recs, ends, token, ttl, limit)
  elseif letter == 'D' then
    end_dead(done, recs, ends, token)
  elseif letter == 'R' then
    back_off(done, recs, ends, nums, token)
  elseif letter == 'Z' then
    snooze(done, recs, ends, nums, concat(marks), token)
  elseif letter == 'L' then
    release(done, recs, concat(marks), token)
  else
    rescue(done, recs, concat(marks), token)
  end
end

local cfg_conc = call('HGET', P .. 'cfg', 'conc')
if cfg_conc and call('EXISTS', P .. 'b') == 1 then wake() end
local claim_answer = ARGV[7] ~= '' and claim(cmsgpack.unpack(ARGV[7])) or 0
settle(blob, index, {'w', ARGV[6]})
return {stale, claim_answer}
