-- What a fold (fold.lua) knows of jobs: read from Redis once, changed in Lua tables only, written by write.lua.
-- Everything about a job is kept by its id:
--
--   was      its record in m before           over     its record in r before
--   rec      its record now, nil once deleted  final    its last end as written, if it ended for good in this fold
--   due      when it may run, for S and Y       owned    how an owned job waits: "<A|S|Y> run_at expires_at node", as in `o`
--   taken_by what it could not take while owned: "r" first id, or "u" key "\0" holder, as in `od`; false: nothing
--
-- `o` and `od` are hashes of the queue: owned jobs stand in no order, and this is what their hand-over must know.
-- Who folds says first in `given`: node, queue (its name), ttl and limit of results, request_ttl.
local given = {}

-- tokens of Redis begin here; a journal's own are smaller
local REMOTE = '1125899906842624'

local was, over, rec, final, due, owned, taken_by = {}, {}, {}, {}, {}, {}, {}
local envelopes, failed, snoozed, progress, expires, front, cancelled, deleted = {}, {}, {}, {}, {}, {}, {}, {}
local clashes = call('EXISTS', P .. 'od') == 1
local holders, requests, keys, paused = {}, {}, {}, nil
local firsts, stale, ids = {}, {}, {}
-- how a job is said to go by another's name
local SAME = 'the same request as '

local function state_of(record) return sub(record, 1, 1) end
local function ended_state(state) return state == 'C' or state == 'X' or state == 'D' end
local function waits(state) return state == 'A' or state == 'S' or state == 'Y' end
local function in_state(record, state) return state .. sub(record, 2) end

-- kinds of moves, as in moves.py
local NOTE, ENQUEUED, OFFERED, ENDED, STARTED, PROGRESSED, CANCEL, RETRIED, DELETED, PAUSED = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9

-- read the jobs that moves are about
local function load(moves)
  local seen = {}
  local function name(id)
    if not seen[id] then
      seen[id] = true
      ids[#ids + 1] = id
    end
  end
  for i = 1, #moves do
    local kind = moves[i][1]
    if kind == OFFERED then
      for _, id in ipairs(moves[i][3]) do name(id) end
    elseif kind ~= NOTE and kind ~= PAUSED then
      name(moves[i][3])
    end
  end
  local results = call('EXISTS', P .. 'r') == 1
  for from = 1, #ids, 1000 do
    local to = min(#ids, from + 999)
    local live = call('HMGET', P .. 'm', unpack(ids, from, to))
    local past = results and call('HMGET', P .. 'r', unpack(ids, from, to))
    for i = from, to do
      local id = ids[i]
      if live[i - from + 1] then
        was[id], rec[id] = live[i - from + 1], live[i - from + 1]
      elseif past and past[i - from + 1] then
        over[id], rec[id] = past[i - from + 1], past[i - from + 1]
      end
    end
  end
end

-- whether the job has a payload, so that it may come back
local function whole(id) return envelopes[id] or was[id] and not deleted[id] end

-- --- keys ---

local function holder_of(key)
  if holders[key] == nil then holders[key] = call('HGET', P .. 'u', key) or false end
  return holders[key]
end

local function first_of(request) return requests[request] or known_request(request) end

local function take_unique(id, key)
  holders[key], keys[id] = id, key
end

local function let_go(id, record)
  if byte(record, 39) ~= 49 then return end
  local key = keys[id] or call('HGET', P .. 'uk', id)
  if key and holder_of(key) == id then holders[key] = false end
end

-- what an owned job could not take
local function clash_of(id)
  if clashes and taken_by[id] == nil then taken_by[id] = call('HGET', P .. 'od', id) end
  return taken_by[id]
end

-- --- what becomes of one job ---

local function end_of(record, state, token) return state .. sub(record, 2, 5) .. token .. 'e0' .. sub(record, 24) end

local function over_now(id, record, state, token, raw)
  let_go(id, record)
  rec[id], final[id], failed[id], progress[id] = end_of(record, state, token), raw, nil, false
end

-- a job goes on waiting: where it is owned it stays so
local function wait(id, record, state, at)
  due[id], front[id], progress[id] = at, state == 'A', false
  if state_of(record) == 'O' then
    owned[id] = format('%s %.17g 0 %s', state, at, given.node)
  else
    record = in_state(record, state)
  end
  rec[id] = record
end

-- kind of move -> what it does, given the number of its event, the event as written, and the move: fold.lua and its siblings
local steps = {}
