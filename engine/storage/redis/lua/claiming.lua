-- Taking available jobs under one lease.

-- what a claimer waits for
local CLAIMABLE = {'s', 'y'}

-- how many may be claimed now
local function allowed(cfg)
  local most = 1000
  if cfg[1] == '1' then return 0 end
  if cfg[2] then most = tonumber(cfg[2]) - tonumber(call('HGET', P .. 'c', 'R') or '0') - (counted.R or 0) end
  if cfg[3] then
    local _, level = bucket(cfg[3], cfg[4], cfg[5], cfg[6])
    most = min(most, floor(level + 1e-9))
  end
  return most
end

-- Sort what was popped into `chosen` (ids and records) and what goes back; a job that was taken back from a dead holder is
-- claimed alone, so that nobody else is blamed if it kills its worker.  Answers whether to stop, and whether one is owed.
local function choose(popped, recs, chosen, back, others)
  local ids, its, seen = chosen.ids, chosen.recs, chosen.seen
  local n = #ids
  for i = 1, #popped do
    local id, record = popped[i], recs[i]
    if record and byte(record) == 65 and not seen[id] then
      local rescued = byte(record, 38) > 0
      if chosen.alone or (rescued and n + others > 0) then
        chosen.owed = chosen.owed or not chosen.alone
        for k = i, #popped do
          if recs[k] and byte(recs[k]) == 65 and not seen[popped[k]] then
            back.ids[#back.ids + 1], back.recs[#back.recs + 1] = popped[k], recs[k]
          end
        end
        return true
      end
      n = n + 1
      seen[id], ids[n], its[n] = true, id, record
      chosen.alone = rescued
    end
  end
  return chosen.alone
end

-- pop until n jobs are chosen; the lists may hold ids that are not available any more, so it may take some rounds
local function choose_jobs(n, others, can, tenants)
  local chosen, back = {ids = {}, recs = {}, seen = {}}, {ids = {}, recs = {}}
  for _ = 1, 16 do
    local popped = pop(n - #chosen.ids, can, tenants)
    if #popped == 0 then break end
    if choose(popped, records(popped), chosen, back, others) or #chosen.ids >= n then break end
  end
  if #back.ids > 0 then push_all(back.ids, back.recs, true) end
  return chosen
end

-- the events of jobs; one that has none cannot run and is left where it is, in no order
local function with_events(ids, recs)
  local events = #ids > 0 and call('HMGET', P .. 'j', unpack(ids)) or {}
  for i = #ids, 1, -1 do
    if not events[i] then
      table.remove(ids, i)
      table.remove(recs, i)
      table.remove(events, i)
    end
  end
  return events
end

local function set_of(list)
  local set = {}
  for i = 1, #list do set[list[i]] = true end
  return set
end

-- the first 38 bytes of the record of a job that is claimed
local function claimed(record, token)
  local a, b, c, d = byte(record, 2, 5)
  local attempt = d < 255 and char(a, b, c, d + 1) or pack('>I4', u32(record, 2) + 1)
  return 'R' .. attempt .. token .. '00' .. sub(record, 24, 38)
end

-- Take up to `want.most` jobs; want = {most, agent, lease seconds, token or '', least token, jobs that the claim holds
-- already from other queues, capabilities, tenants or false, at}.  Answers
-- {jobs, token, their records' first 38 bytes, their events as one msgpack list, seconds until something is due, owed}.
local function claim(want)
  make_due()
  local cfg = limits()
  local most, token = min(want[1], allowed(cfg)), want[4]
  if most > 0 and token ~= '' and token <= (call('GET', P .. 't') or '0') then most = 0 end
  if most <= 0 or call('EXISTS', P .. 'b') == 0 then return {0, '', '', '', next_due(cfg, CLAIMABLE), 0} end
  local chosen = choose_jobs(most, want[6], set_of(want[7]), want[8] and set_of(want[8]))
  local ids, recs = chosen.ids, chosen.recs
  local events = with_events(ids, recs)
  local n = #ids
  if n == 0 then return {0, '', '', '', next_due(cfg, CLAIMABLE), chosen.owed and 1 or 0} end
  if token == '' then token = next_token(want[5]) else call('SET', P .. 't', token) end
  local flat, heads = {}, {}
  for i = 1, n do
    local record = recs[i]
    local head = claimed(record, token)
    flat[2 * i - 1], flat[2 * i], heads[i] = ids[i], head .. sub(record, 39, 48) .. NOT_STARTED .. sub(record, 57), head
  end
  put_flat('m', flat)
  call('ZADD', P .. 'x', format('%.17g', now + want[3]), token)
  call('HSET', P .. 'xl', token, (n + want[6] == 1 and '1' or '0') .. want[2] .. '\n' .. concat(ids, ' '))
  call('HSET', P .. 'xn', token, n)
  if cfg[3] then
    local _, level = bucket(cfg[3], cfg[4], cfg[5], cfg[6])
    call('HSET', P .. 'cfg', 'bucket', format('%.17g', level - n), 'bucket_at', format('%.6f', now))
    cfg = limits()
  end
  count('A', -n)
  count('R', n)
  count('n', n)
  tell({'K', want[9], tonumber(token), want[2], ids})
  if (n == want[1] or chosen.owed) and call('EXISTS', P .. 'b') == 1 then wake() end
  local list = '\221' .. pack('>I4', n) .. concat(events)
  return {n, token, concat(heads), list, next_due(cfg, CLAIMABLE), chosen.owed and 1 or 0}
end
