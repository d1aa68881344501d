-- Jobs that come in, in a fold: offered ones, owned ones, those that are handed over, and keys that others have.
local merged_before
do

-- an end came before the enqueue, and now the job gets its name: its request is known from now on, and a dead letter has a
-- payload, so that somebody may send it back
local function named(index, id, raw, record, unseen, request)
  rec[id] = state_of(unseen) .. sub(unseen, 2, 22) .. sub(record, 23)
  final[id] = final[id] or sub(unseen, record_bytes(unseen) + 1)
  if state_of(unseen) == 'D' then envelopes[id] = raw end
  if request == '' then return end
  local first = first_of(request)
  if first then conflict(index, 'request', id .. ' ' .. first) else requests[request] = id end
end

-- an offered job whose request is known is not taken in, but its id leads to the job that was first
local function not_taken_in(index, id, record, first)
  local raw = tell_end('X', now, id, 0, 0, '', 0, SAME .. first, given.queue)
  told[#told] = nil
  rec[id], final[id] = end_of(record, 'X', NO_TOKEN), raw
  firsts[#firsts + 1] = id
  firsts[#firsts + 1] = first
  leave_out(index)
end

-- jobs that go by another name: of ids in moves those that were merged before
function merged_before(moves)
  load(moves)
  local found = {}
  for _, id in ipairs(ids) do
    local first = over[id] and state_of(over[id]) == 'X' and string.match(over[id], SAME .. '([\33-\126]+)')
    if first then
      found[#found + 1] = id
      found[#found + 1] = first
    end
  end
  return found
end

-- an owned job whose request is known, or whose unique key is held, is taken in and remembers it
local function keep_clash(id, first, unique, holder)
  if first then
    taken_by[id] = 'r' .. first
  else
    taken_by[id] = 'u' .. unique .. '\0' .. holder
  end
end

-- what is sent again by another name of its node belongs to that name
local function still_owned(id)
  local waiting = call('HGET', P .. 'o', id)
  local _, to, owner = string.find(waiting or '', '^%a %S+ %S+ (.*)$')
  if to and owner ~= given.node then owned[id] = sub(waiting, 1, to - #owner) .. given.node end
end

steps[ENQUEUED] = function(index, raw, move)
  local id, offered, at, run_at, band, tenant, needs, expires_at, unique, request, most, task = unpack(move, 3)
  local known = rec[id]
  local unseen = known and sub(known, 41, 48) == NOT_STARTED and ended_state(state_of(known))
  if known and not unseen then
    if state_of(known) == 'O' and was[id] then still_owned(id) end
    return
  end
  local first = not known and request ~= '' and first_of(request)
  local holder = not known and not first and unique ~= '' and holder_of(unique)
  local takes = not known and unique ~= '' and not first and not holder
  local record = new_record('A', band, most, takes, expires_at > 0, at, needs .. '\0' .. tenant, task)
  if unseen then return named(index, id, raw, record, known, request) end
  if offered and (first or holder) then return not_taken_in(index, id, record, first or holder) end
  envelopes[id] = raw
  if first or holder then keep_clash(id, first, unique, holder) end
  if takes then take_unique(id, unique) end
  if request ~= '' and not first then requests[request] = id end
  local state = run_at > max(now, at) and 'S' or 'A'
  if offered then
    rec[id], due[id], expires[id] = in_state(record, state), run_at, expires_at
  else
    rec[id] = in_state(record, 'O')
    owned[id] = format('%s %.17g %.17g %s', state, run_at, expires_at, given.node)
  end
end

-- --- hand-over ---

local function merge(index, id, kind, first)
  local record = rec[id]
  local raw = tell_end('X', now, id, 0, u32(record, 2), '', 0, SAME .. first, given.queue)
  over_now(id, record, 'X', NO_TOKEN, raw)
  firsts[#firsts + 1] = id
  firsts[#firsts + 1] = first
  conflict(index, kind, id .. ' ' .. first)
end

-- whether the job may go to the fleet, as far as its keys tell; one that has run goes in any case
local function free_to_go(index, id)
  local clash = clash_of(id)
  if not clash then return true end
  taken_by[id] = false
  local ran = u32(rec[id], 2) > 0
  if sub(clash, 1, 1) == 'r' then
    if ran then conflict(index, 'request', id .. ' ' .. sub(clash, 2)) else merge(index, id, 'request', sub(clash, 2)) end
    return ran
  end
  local key = sub(clash, 2, string.find(clash, '\0', 1, true) - 1)
  local holder = holder_of(key)
  if not holder then
    take_unique(id, key)
    rec[id] = sub(rec[id], 1, 38) .. '1' .. sub(rec[id], 40)
  elseif ran then
    conflict(index, 'unique', id .. ' ' .. holder)
  else
    merge(index, id, 'unique', holder)
  end
  return not holder or ran
end

steps[OFFERED] = function(index, _, move)
  for _, id in ipairs(move[3]) do
    if rec[id] and state_of(rec[id]) == 'O' and free_to_go(index, id) then
      local waiting = owned[id] or call('HGET', P .. 'o', id) or 'A 0 0 '
      local _, _, state, run_at, until_ = string.find(waiting, '^(%a) (%S+) (%S+)')
      run_at, until_ = tonumber(run_at), tonumber(until_)
      if run_at <= now then state = 'A' end
      rec[id], due[id], owned[id], progress[id] = in_state(rec[id], state), run_at, nil, false
      if u32(rec[id], 2) == 0 then expires[id] = until_ end
    end
  end
end

end
