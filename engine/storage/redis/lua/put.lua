-- ARGV[2] = {ids, bytes of each event, created_at of each, shape of each (from 1), shapes, rest}, ARGV[3] the events,
-- ARGV[4] seconds that a request is remembered.  A shape is {band, lane, task, most attempts}; rest = {{index, unique key,
-- request, expires_at or 0, run_at or 0}, …} for jobs that have any of these.  Answers {{index, id of the job that was there
-- first}, …} for those that are not new, and {0, ''} where this Redis knew nothing of the queue before.
local ids, lens, created, shape_of, shapes, rest = unpack(cmsgpack.unpack(ARGV[2]))
local blob, ttl = ARGV[3], tonumber(ARGV[4])
local extra = {}
for _, more in ipairs(rest) do extra[more[1]] = more end

-- what each job is known by, before anything is written
local live, over = records(ids), call('HMGET', P .. 'r', unpack(ids))
local mine, requests, uniques = {}, {}, {}
local function first_of(i, id, more)
  if live[i] or over[i] or mine[id] then return id end
  local request, unique = more and more[3] or '', more and more[2] or ''
  if request ~= '' then
    local known = requests[request] or known_request(request)
    if known then return known end
  end
  if unique ~= '' then
    local holder = uniques[unique] or call('HGET', P .. 'u', unique)
    if holder then return holder end
  end
  mine[id] = true
  if request ~= '' then requests[request] = id end
  if unique ~= '' then uniques[unique] = id end
  return nil
end

local answers, events, recs, scheduled, expiring, ready, ready_recs = {}, {}, {}, {}, {}, {}, {}
local at = 1
for i = 1, #ids do
  local id, more = ids[i], extra[i]
  local first = first_of(i, id, more)
  if first then
    answers[#answers + 1] = {i, first}
    leave_out(i)
  else
    local shape, due = shapes[shape_of[i]], more and more[5] or 0
    local state = due > 0 and 'S' or 'A'
    local record = new_record(
      state, shape[1], shape[4], more and more[2] ~= '', more and more[4] > 0, created[i], shape[2], shape[3])
    events[#events + 1] = id
    events[#events + 1] = sub(blob, at, at + lens[i] - 1)
    recs[#recs + 1] = id
    recs[#recs + 1] = record
    if due > 0 then
      scheduled[#scheduled + 1] = format('%.17g', due)
      scheduled[#scheduled + 1] = id
    else
      ready[#ready + 1], ready_recs[#ready_recs + 1] = id, record
    end
    if more and more[4] > 0 then
      expiring[#expiring + 1] = format('%.17g', more[4])
      expiring[#expiring + 1] = id
    end
  end
  at = at + lens[i]
end
if #events == 0 then return answers end
if call('EXISTS', P .. 'c') == 0 then answers[#answers + 1] = {0, ''} end

put_flat('j', events) -- first of all: a full Redis refuses the first write and no other
put_flat('m', recs)
if #expiring > 0 then call('ZADD', P .. 'e', unpack(expiring)) end
for key, id in pairs(requests) do remember_request(key, id, ttl) end
for key, id in pairs(uniques) do
  call('HSET', P .. 'u', key, id)
  call('HSET', P .. 'uk', id, key)
end
if #scheduled > 0 then
  local soonest = call('ZRANGE', P .. 's', 0, 0, 'WITHSCORES')[2]
  call('ZADD', P .. 's', unpack(scheduled))
  if call('ZRANGE', P .. 's', 0, 0, 'WITHSCORES')[2] ~= soonest then wake() end
end
push_all(ready, ready_recs, false)
count('A', #ready)
count('S', #scheduled / 2)
if #ready > 0 then wake() end
settle(blob, #ids)
return answers
