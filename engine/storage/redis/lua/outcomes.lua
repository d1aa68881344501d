-- Ends of attempts, in a fold: which of them count, and what they make of their jobs.
do

-- a job that Redis knows nothing of has ended: its enqueue comes later, or never
local function ended_unseen(id, letter, token, attempt, raw)
  local record = new_record(letter, 5, 1, false, false, 0, '\0', '')
  rec[id], final[id] = end_of(with_u32(record, 2, attempt), letter, token), raw
end

-- an owned job that could not take its key ran nevertheless
local function ran_beside(index, id)
  local clash = clash_of(id)
  if not clash then return end
  local zero = string.find(clash, '\0', 1, true)
  conflict(index, sub(clash, 1, 1) == 'r' and 'request' or 'unique', id .. ' ' .. sub(clash, (zero or 1) + 1))
  taken_by[id] = false
end

local function uses_no_attempt(record, started)
  if started then return with_u32(record, 25, u32(record, 25) + 1) end
  return with_u32(record, 2, u32(record, 2) - 1)
end

local function rescued(record, crashed)
  record = with_u32(record, 25, u32(record, 25) + 1)
  record = with_byte(record, 38, byte(record, 38) + 1)
  return crashed and with_byte(record, 37, byte(record, 37) + 1) or record
end

-- an accepted end that leaves the job waiting
local function goes_on(id, letter, record, raw, started, run_at, at, crashed)
  local later = min(run_at, now + max(0, run_at - at))
  if letter == 'R' then
    failed[id] = raw
    wait(id, record, 'Y', later)
  elseif letter == 'Z' then
    snoozed[id] = raw
    wait(id, uses_no_attempt(record, started), 'S', run_at)
  elseif letter == 'L' then
    wait(id, uses_no_attempt(record, started), 'A', 0)
  else
    wait(id, rescued(record, crashed), 'A', 0)
  end
end

-- the end that stands, as written; '' if the job has none
local function standing(id, state)
  if final[id] then return final[id] end
  if was[id] then return state == 'D' and call('HGET', P .. 'f', id) or '' end
  return over[id] and sub(over[id], record_bytes(over[id]) + 1) or ''
end

-- an end that comes too late: it is not true, and what it says is kept as a conflict, unless it says nothing new
local function refused(index, id, letter, token, record, state)
  leave_out(index)
  if token == NO_TOKEN then
    if state == 'R' then cancelled[id] = true end
    return
  end
  local again = sub(record, 6, 21) == token and sub(record, 22, 22) == 'e'
  if again or letter == 'L' or letter == 'U' then return end
  stale[#stale + 1] = index
  if ended_state(state) then conflict(index, 'result', standing(id, state)) else conflict(index, 'late', '') end
end

-- Whether an end may still change the job: it has no outcome, and nobody claimed it since.  A wish (no token) ends what
-- waits.  An end after the lease was taken back counts too, as long as nobody else has the job.
local function acceptable(state, record, token, letter, for_good)
  local last = sub(record, 6, 21)
  if ended_state(state) or letter == 'U' and token == last and waits(state) then return false end
  if token == NO_TOKEN then return for_good and (state == 'O' or waits(state)) end
  if token < REMOTE then return last < REMOTE and (state == 'O' or for_good) end
  return token > last or token == last and (for_good or sub(record, 22, 22) ~= 'e')
end

-- what the end of an attempt makes of a job whose lease was taken back meanwhile: that attempt counts after all
local function counted_again(record, state, token)
  if token ~= sub(record, 6, 21) or not waits(state) then return record end
  return with_u32(record, 25, u32(record, 25) - 1)
end

steps[ENDED] = function(index, raw, move)
  local id, letter, token, attempt, started, run_at, at, crashed = unpack(move, 3)
  local record, for_good = rec[id], ended_state(letter)
  if not record then
    if for_good then ended_unseen(id, letter, token, attempt, raw) end
    return
  end
  local state = state_of(record)
  if not acceptable(state, record, token, letter, for_good) then return refused(index, id, letter, token, record, state) end
  record = counted_again(record, state, token)
  if token ~= NO_TOKEN then record = with_u32(record, 2, attempt) end
  record = end_of(record, state, token)
  if not for_good then return goes_on(id, letter, record, raw, started, run_at, at, crashed) end
  if letter == 'D' and crashed then record = with_byte(record, 37, byte(record, 37) + 1) end
  if state == 'O' and token ~= NO_TOKEN then ran_beside(index, id) end
  over_now(id, record, letter, token, raw)
end

end
