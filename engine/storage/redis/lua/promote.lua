-- ARGV[2] at, ARGV[3] the queue's name, ARGV[4] crashes that make a job poison, ARGV[5] seconds that results are kept,
-- ARGV[6] how many, ARGV[7] seconds that requests are remembered, ARGV[8] tokens to take back now ('' for those that expired,
-- in queues that are not held), one after the other with " " between.
-- Answers {seconds until the next is due or '', jobs taken back, events, their blob}.
local at, queue, cap, ttl, limit, request_ttl =
  tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local CRASHED, UNKNOWN = 'its worker died', 'its holder died; it may not have started'
local POISON, GIVEN_UP = 'poison: its worker died under it too often', 'asked to stop, and its holder died'
mark = '0'
local more = make_due()
local cfg = limits()

local function expire()
  local ids = call('ZRANGEBYSCORE', P .. 'e', '-inf', now, 'LIMIT', 0, 200)
  if #ids == 0 then return end
  call('ZREM', P .. 'e', unpack(ids))
  local recs, late, late_recs, ends = records(ids), {}, {}, {}
  for i = 1, #ids do
    local record = recs[i]
    if record and string.find('AS', sub(record, 1, 1), 1, true) and u32(record, 2) == 0 then
      local k = #late + 1
      late[k], late_recs[k] = ids[i], record
      ends[k] = tell_end('X', at, ids[i], 0, 0, '', 0, 'expired: not started in time', queue)
    end
  end
  if #late > 0 then end_for_good('X', late, late_recs, ends, nil, ttl, limit) end
end

-- take back what a holder left; what was asked to stop is given up.  Answers how many jobs it held
local function take_back(token)
  local kept = call('HGET', P .. 'xl', token)
  if not kept then drop_lease(token) return 0 end
  local line = string.find(kept, '\n', 1, true)
  local alone, agent, ids = sub(kept, 1, 1) == '1', sub(kept, 2, line - 1), {}
  for id in string.gmatch(sub(kept, line + 1), '%S+') do ids[#ids + 1] = id end
  local recs = records(ids)
  local back, poisoned, unwanted =
    {ids = {}, recs = {}, crashed = {}}, {ids = {}, recs = {}, ends = {}}, {ids = {}, recs = {}, ends = {}}
  for i = 1, #ids do
    local record = recs[i]
    if record and byte(record) == 82 and sub(record, 6, 21) == token then
      local ran = sub(record, 22, 22) == '1' or alone
      local poison = ran and byte(record, 37) + 1 >= cap
      local tag, reason, group = 'U', ran and CRASHED or UNKNOWN, back
      if sub(record, 23, 23) == '1' then
        tag, reason, group = 'X', GIVEN_UP, unwanted
      elseif poison then
        tag, reason, group = 'D', POISON, poisoned
      end
      local event = tell_end(tag, at, ids[i], tonumber(token), u32(record, 2), agent,
        unpack_('>d', sub(record, 49, 56)), reason, queue)
      local k = #group.ids + 1
      group.ids[k], group.recs[k] = ids[i], record
      if group == back then group.crashed[k] = ran and '1' or '0' else group.ends[k] = event end
    end
  end
  if #back.ids > 0 then rescue(back.ids, back.recs, concat(back.crashed)) end
  if #poisoned.ids > 0 then end_dead(poisoned.ids, poisoned.recs, poisoned.ends, nil, true) end
  if #unwanted.ids > 0 then end_for_good('X', unwanted.ids, unwanted.recs, unwanted.ends, nil, ttl, limit) end
  drop_lease(token)
  return #back.ids + #poisoned.ids + #unwanted.ids
end

local function forget_requests()
  for _, key in ipairs(call('ZRANGEBYSCORE', P .. 'ix', '-inf', now, 'LIMIT', 0, 200)) do
    local kept = call('HGET', P .. 'i', key)
    local id = kept and sub(kept, 18)
    if id and call('HEXISTS', P .. 'm', id) == 1 then
      remember_request(key, id, request_ttl)
    else
      call('HDEL', P .. 'i', key)
      call('ZREM', P .. 'ix', key)
    end
  end
end

expire()
local taken = 0
if ARGV[8] ~= '' then
  for token in string.gmatch(ARGV[8], '%S+') do taken = taken + take_back(token) end
elseif cfg[7] ~= 'hold' then
  for _, token in ipairs(call('ZRANGEBYSCORE', P .. 'x', '-inf', now, 'LIMIT', 0, 100)) do
    if taken >= 500 then more = true break end
    taken = taken + take_back(token)
  end
end
sweep_results(ttl, limit, 500)
forget_requests()
local told_n, blob = settle('', 0)
local all = cfg[7] == 'hold' and {'s', 'y', 'e'} or {'s', 'y', 'e', 'x'}
return {more and '0' or next_due(cfg, all), taken, told_n, blob}
