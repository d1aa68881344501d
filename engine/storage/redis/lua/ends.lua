-- What the end of an attempt does to jobs.  Lists run in parallel: ids, their records (before), the ends as written.
-- Nothing is checked here: that an end is accepted was decided by verdict().

-- what place 22 of a record becomes when a job leaves its lease; scripts that end attempts in nobody's name set it to '0',
-- so that the holder's own end is told from a repeat
local mark = 'e'

-- what an end with a token means for a job: 'accept', 'repeat' (the very end that was accepted), 'late' (someone claimed
-- the job since) or 'over' (it has another outcome).  `record` is of m or r; nil for an unknown job, which is 'unknown'.
local function verdict(record, token)
  if not record then return 'unknown' end
  if token == NO_TOKEN then return 'late' end
  local state, last = byte(record), sub(record, 6, 21)
  if state == 82 then -- R
    if token >= last then return 'accept' end
    return 'late'
  end
  if last == token and sub(record, 22, 22) == 'e' then return 'repeat' end
  if state == 67 or state == 88 then -- C, X
    return last == token and 'repeat' or 'over'
  end
  if state == 68 then return 'over' end -- D
  if token >= last then return 'accept' end
  return 'late'
end

-- the record after an end, in a new state; `token` if it is another than the last
local function after(record, state, token)
  return state .. sub(record, 2, 5) .. (token or sub(record, 6, 21)) .. mark .. '0' .. sub(record, 24)
end

-- completed ('C') or cancelled ('X'): kept as results
local function end_for_good(state, ids, recs, ends, token, ttl, limit)
  drop_jobs(ids)
  drop_sides(ids)
  leave(ids, recs)
  local flat = {}
  for i = 1, #ids do
    local id, record = ids[i], recs[i]
    flat[2 * i - 1] = id
    -- as after() makes it, in one go
    flat[2 * i] = state .. sub(record, 2, 5) .. (token or sub(record, 6, 21)) .. mark .. '0' .. sub(record, 24) .. ends[i]
    local unique, expires = byte(record, 39, 40)
    if unique == 49 then free_unique(id) end
    if expires == 49 then call('ZREM', P .. 'e', id) end
  end
  keep_results(flat, ids, ttl, limit)
  count(state, #ids)
  ended(ids)
end

-- dead: kept with payload and last end; `poison` counts one more crash
local function end_dead(ids, recs, ends, token, poison)
  leave(ids, recs)
  local records_, ends_, died = {}, {}, {}
  for i = 1, #ids do
    local record = after(recs[i], 'D', token)
    if poison then record = with_byte(record, 37, byte(record, 37) + 1) end
    records_[2 * i - 1], records_[2 * i] = ids[i], record
    ends_[2 * i - 1], ends_[2 * i] = ids[i], ends[i]
    died[2 * i - 1], died[2 * i] = now, ids[i]
    if byte(recs[i], 39) == 49 then free_unique(ids[i], true) end
  end
  put_flat('m', records_)
  put_flat('f', ends_)
  call('ZADD', P .. 'd', unpack(died))
  if call('EXISTS', P .. 'p') == 1 then call('HDEL', P .. 'p', unpack(ids)) end
  count('D', #ids)
  ended(ids)
end

-- jobs wait for a time; `key` 's' or 'y', times their moments, changed(i, record) what else becomes of the record
local function put_off(key, state, ids, recs, times, token, changed)
  leave(ids, recs)
  local records_, due = {}, {}
  local first = call('ZRANGE', P .. key, 0, 0, 'WITHSCORES')[2]
  local sooner = false
  for i = 1, #ids do
    local record = after(recs[i], state, token)
    records_[2 * i - 1], records_[2 * i] = ids[i], changed and changed(i, record) or record
    due[2 * i - 1], due[2 * i] = format('%.17g', times[i]), ids[i]
    sooner = sooner or not first or times[i] < tonumber(first)
  end
  put_flat('m', records_)
  call('ZADD', P .. key, unpack(due))
  if call('EXISTS', P .. 'p') == 1 then call('HDEL', P .. 'p', unpack(ids)) end
  count(state, #ids)
  if sooner then wake() end
end

-- failed, tried again after `delays` seconds
local function back_off(ids, recs, ends, delays, token)
  local times, flat = {}, {}
  for i = 1, #ids do
    times[i] = now + max(0, delays[i])
    flat[2 * i - 1], flat[2 * i] = ids[i], ends[i]
  end
  put_off('y', 'Y', ids, recs, times, token)
  put_flat('f', flat)
end

-- an end that uses up no attempt: one that never started was no attempt at all
local function waived(record, started)
  if started then return with_u32(record, 25, u32(record, 25) + 1) end
  return with_u32(record, 2, u32(record, 2) - 1)
end

-- put off by choice until `times`; started = string with "1" for each attempt that had begun
local function snooze(ids, recs, ends, times, started, token)
  local flat = {}
  for i = 1, #ids do flat[2 * i - 1], flat[2 * i] = ids[i], ends[i] end
  put_off('s', 'S', ids, recs, times, token, function(i, record) return waived(record, byte(started, i) == 49) end)
  put_flat('z', flat)
end

-- jobs are available again, in front of the others
local function give_back(ids, recs, token, changed)
  leave(ids, recs)
  local flat, fresh = {}, {}
  for i = 1, #ids do
    fresh[i] = changed(i, after(recs[i], 'A', token))
    flat[2 * i - 1], flat[2 * i] = ids[i], fresh[i]
  end
  put_flat('m', flat)
  push_all(ids, fresh, true)
  if call('EXISTS', P .. 'p') == 1 then call('HDEL', P .. 'p', unpack(ids)) end
  count('A', #ids)
  wake()
end

-- handed back unfinished
local function release(ids, recs, started, token)
  give_back(ids, recs, token, function(i, record) return waived(record, byte(started, i) == 49) end)
end

-- taken back from a holder that died; crashed = string with "1" where the attempt is known to have run
local function rescue(ids, recs, crashed, token)
  give_back(ids, recs, token, function(i, record)
    record = with_u32(record, 25, u32(record, 25) + 1)
    record = with_byte(record, 38, byte(record, 38) + 1)
    return with_byte(record, 37, byte(record, 37) + (byte(crashed, i) == 49 and 1 or 0))
  end)
end
