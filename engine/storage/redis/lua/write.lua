-- Writes what came of a fold (fold.lua), and only that: one command for all jobs of a kind where there is one.

local write_all
do

-- call f with parts of some lists that a command bears
local function in_parts(f, list, ...)
  if #list <= 1000 then
    if #list > 0 then f(list, ...) end
    return
  end
  local others = {...}
  for from = 1, #list, 1000 do
    local to = min(#list, from + 999)
    local parts = {}
    for i = 1, #others do parts[i] = {unpack(others[i], from, to)} end
    f({unpack(list, from, to)}, unpack(parts))
  end
end

local function flat_of(list, values)
  local flat = {}
  for i = 1, #list do flat[2 * i - 1], flat[2 * i] = list[i], values[i] end
  return flat
end

local function put(key, list, values)
  in_parts(function(some, theirs) put_flat(key, flat_of(some, theirs)) end, list, values)
end

local function put_map(key, map)
  local list, values = {}, {}
  for id, value in pairs(map) do
    if value then list[#list + 1], values[#values + 1] = id, value end
  end
  put(key, list, values)
end

local function drop(key, list)
  in_parts(function(some) call('HDEL', P .. key, unpack(some)) end, list)
end

local function schedule(key, list, times)
  if #list == 0 then return end
  local soonest = call('ZRANGE', P .. key, 0, 0, 'WITHSCORES')[2]
  in_parts(function(some, theirs) call('ZADD', P .. key, unpack(flat_of(theirs, some))) end, list, times)
  if call('ZRANGE', P .. key, 0, 0, 'WITHSCORES')[2] ~= soonest then wake() end
end

-- jobs sorted by what became of them
local left, left_recs, gone, gone_over = {}, {}, {}, {}
local live, live_recs, past, past_recs, dead, dead_at, dead_ends = {}, {}, {}, {}, {}, {}, {}
local ready, ready_recs, again, again_recs = {}, {}, {}, {}
local later, later_at, backing_off, backing_off_at = {}, {}, {}, {}
local bare, no_owned, no_sides = {}, {}, {}

local function comes_into(id, record, state)
  if state == 'A' then
    local list, recs = ready, ready_recs
    if front[id] then list, recs = again, again_recs end
    list[#list + 1], recs[#recs + 1] = id, record
  elseif state == 'S' then
    later[#later + 1], later_at[#later_at + 1] = id, format('%.17g', due[id])
  elseif state == 'Y' then
    backing_off[#backing_off + 1], backing_off_at[#backing_off_at + 1] = id, format('%.17g', due[id])
  elseif state == 'D' then
    local k = #dead + 1
    dead[k], dead_at[k], dead_ends[k] = id, format('%.6f', now), final[id]
  end
end

local function sort(id)
  local old, record = was[id], rec[id]
  if record == (old or over[id]) and not (record and due[id]) then return end
  local state, old_state = record and state_of(record), old and state_of(old)
  local kept = state and state ~= 'C' and state ~= 'X' and whole(id)
  if old and (state ~= old_state or due[id]) then
    left[#left + 1], left_recs[#left_recs + 1] = id, old
    if not kept then gone[#gone + 1] = id end
    if old_state == 'O' and state ~= 'O' then no_owned[#no_owned + 1] = id end
    if byte(old, 40) == 49 and not kept then call('ZREM', P .. 'e', id) end
  end
  if over[id] and (not record or kept) then gone_over[#gone_over + 1] = id end
  if not record then return end
  if kept then
    live[#live + 1], live_recs[#live_recs + 1] = id, record
    if old_state ~= state or due[id] then
      count(state, 1)
      comes_into(id, record, state)
    end
  else
    past[#past + 1], past_recs[#past_recs + 1] = id, record .. (final[id] or '')
    if state ~= 'D' and not over[id] then count(state, 1) end
  end
  if ended_state(state) then bare[#bare + 1] = id end
end

local function write_jobs()
  local fresh, events = {}, {}
  for _, id in ipairs(live) do
    if envelopes[id] then fresh[#fresh + 1], events[#events + 1] = id, envelopes[id] end
  end
  put('j', fresh, events)
  put('m', live, live_recs)
  in_parts(drop_jobs, gone)
  in_parts(drop_sides, gone)
  in_parts(leave, left, left_recs)
  in_parts(function(some, records_) keep_results(flat_of(some, records_), some, given.ttl, given.limit) end,
    past, past_recs)
  drop('r', gone_over)
  put('f', dead, dead_ends)
  in_parts(function(some, times) call('ZADD', P .. 'd', unpack(flat_of(times, some))) end, dead, dead_at)
  in_parts(ended, bare)
end

local function write_order()
  in_parts(function(some, recs) push_all(some, recs, false) end, ready, ready_recs)
  in_parts(function(some, recs) push_all(some, recs, true) end, again, again_recs)
  schedule('s', later, later_at)
  schedule('y', backing_off, backing_off_at)
  if #ready + #again > 0 then wake() end
end

local function write_keys()
  for key, id in pairs(requests) do remember_request(key, id, given.request_ttl) end
  for key, id in pairs(holders) do
    local holder = call('HGET', P .. 'u', key)
    if id and id ~= holder then call('HSET', P .. 'u', key, id) end
    if not id and holder then call('HDEL', P .. 'u', key) end
  end
  for id, key in pairs(keys) do
    local record = rec[id]
    if record and not string.find('CX', state_of(record), 1, true) then call('HSET', P .. 'uk', id, key) end
  end
  local unbound = {}
  for _, id in ipairs(gone) do
    if byte(was[id], 39) == 49 then unbound[#unbound + 1] = id end
  end
  drop('uk', unbound)
end

-- only of jobs in some states
local function of(states, map)
  local found = {}
  for id, value in pairs(map) do
    if rec[id] and string.find(states, state_of(rec[id]), 1, true) then found[id] = value end
  end
  return found
end

local function write_sides()
  put_map('f', of('ASYRDO', failed))
  put_map('z', of('ASYRDO', snoozed))
  put_map('p', of('RO', progress))
  put_map('o', of('O', owned))
  put_map('od', of('O', taken_by))
  drop('o', no_owned)
  if clashes then drop('od', no_owned) end
  local silent = {}
  for id, said in pairs(progress) do
    if not said and was[id] then silent[#silent + 1] = id end
  end
  drop('p', silent)
  for id, at in pairs(of('ASYD', expires)) do
    if at > 0 then call('ZADD', P .. 'e', format('%.17g', at), id) end
  end
end

-- jobs that run elsewhere and should stop
local function ask()
  for _, id in ipairs(ids) do
    local record = cancelled[id] and rec[id]
    if record and state_of(record) == 'R' and byte(record, 23) ~= 49 then
      local token = sub(record, 6, 21)
      local asked = call('HGET', P .. 'cx', token)
      call('HSET', P .. 'm', id, sub(record, 1, 22) .. '1' .. sub(record, 24))
      call('HSET', P .. 'cx', token, asked and asked .. ' ' .. id or id)
    end
  end
end

function write_all()
  for _, id in ipairs(ids) do sort(id) end
  write_jobs()
  write_order()
  write_keys()
  write_sides()
  ask()
  if paused ~= nil then
    call('HSET', P .. 'cfg', 'paused', paused and '1' or '0')
    wake()
  end
end

end
