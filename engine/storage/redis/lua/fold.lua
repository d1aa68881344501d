-- What the events of a lane make of jobs: a fold over what known.lua holds, with the steps of outcomes.lua and arrivals.lua; it
-- reads Redis but writes nothing.
local fold
do

steps[STARTED] = function(_, _, move)
  local record = rec[move[3]]
  if record and state_of(record) == 'R' and sub(record, 6, 21) == move[4] then
    rec[move[3]] = sub(record, 1, 21) .. '1' .. sub(record, 23, 48) .. pack('>d', move[5]) .. sub(record, 57)
  end
end

steps[PROGRESSED] = function(_, raw, move)
  local record = rec[move[3]]
  local state = record and state_of(record)
  if state == 'O' or state == 'R' and sub(record, 6, 21) == move[4] then progress[move[3]] = raw end
end

-- someone asked for it while cut off: a waiting job ends, a running one is asked; an owned one is its node's
steps[CANCEL] = function(_, _, move)
  local id, by, record = move[3], move[4], rec[move[3]]
  local state = record and state_of(record)
  if state == 'R' then
    cancelled[id] = true
  elseif state and waits(state) then
    local raw = tell_end('X', now, id, 0, u32(record, 2), '', 0, by ~= '' and 'cancelled by ' .. by or 'cancelled', given.queue)
    over_now(id, record, 'X', NO_TOKEN, raw)
  end
end

-- a dead job gets `extra` more attempts and a clean record of crashes, and goes back to who had it
local function sent_back(id, record, extra, run_at)
  local counted = u32(record, 2) - u32(record, 25)
  record = with_u32(record, 29, max(0, counted + extra - u32(record, 33)))
  record = sub(record, 1, 36) .. '\0\0' .. sub(record, 39, 39) .. '0' .. sub(record, 41)
  if byte(record, 39) == 49 then
    local key = keys[id] or call('HGET', P .. 'uk', id)
    if key and not holder_of(key) then take_unique(id, key) end
  end
  local state = run_at > now and 'S' or 'A'
  if final[id] then failed[id], final[id] = final[id], nil end
  wait(id, in_state(record, sub(record, 6, 21) < REMOTE and 'O' or 'A'), state, run_at)
  front[id] = false
end

steps[RETRIED] = function(_, _, move)
  local id, extra, run_at, record = move[3], move[4], move[5], rec[move[3]]
  local state = record and state_of(record)
  if state == 'D' and whole(id) then
    sent_back(id, record, extra, run_at)
  elseif state == 'S' or state == 'Y' or state == 'O' then
    wait(id, record, 'A', 0)
    front[id] = false
  end
end

steps[DELETED] = function(_, _, move)
  local id, record = move[3], rec[move[3]]
  if record and state_of(record) ~= 'R' then
    let_go(id, record)
    rec[id], final[id], deleted[id] = nil, nil, true
    for _, map in ipairs({envelopes, keys, failed, snoozed, progress, owned, expires, due}) do map[id] = nil end
  end
end

steps[PAUSED] = function(_, _, move) paused = move[3] end

function fold(moves, blob)
  local from = 1
  for index = 1, #moves do
    local move = moves[index]
    local to = from + move[2] - 1
    local step = steps[move[1]]
    if step then step(index, sub(blob, from, to), move) end
    from = to + 1
  end
end

end
