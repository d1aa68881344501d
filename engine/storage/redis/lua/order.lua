-- The order in which available jobs are claimed: bands, then lanes by virtual time, then each lane's list.
-- A lane is (needs, tenant); see lib.lua for the keys.

-- add ids to the end (or the front) of a lane
local function push(band, lane, ids, front)
  local key = P .. 'q:' .. band .. ':' .. lane
  if call(front and 'LPUSH' or 'RPUSH', key, unpack(ids)) == #ids then
    call('ZADD', P .. 'l:' .. band, 'NX', call('HGET', P .. 'v', band) or '0', lane)
    call('ZADD', P .. 'b', band, band)
    if byte(lane, 1) ~= 0 then call('SADD', P .. 'wn', '+' .. string.match(lane, '^[^,%z]+')) end
  end
end

-- make jobs available: pairs of ids and records, already written as 'A'; `front` if they had their turn before
local function push_all(ids, recs, front)
  local groups, keys = {}, {}
  for i = 1, #ids do
    local k = front and #ids + 1 - i or i -- the front is filled from behind, so that their order stays
    local key = byte(recs[k], 24) .. ':' .. lane_of(recs[k])
    local group = groups[key]
    if not group then
      group = {byte(recs[k], 24), lane_of(recs[k]), {}}
      groups[key] = group
      keys[#keys + 1] = key
    end
    group[3][#group[3] + 1] = ids[k]
  end
  for _, key in ipairs(keys) do push(groups[key][1], groups[key][2], groups[key][3], front) end
end

-- whether who has the capabilities `can` (a set) and works for `tenants` (a set, or nil for all) may take from a lane
local function fits(lane, can, tenants)
  local zero = string.find(lane, '\0', 1, true)
  if tenants and not tenants[sub(lane, zero + 1)] then return false end
  if zero > 1 then
    for need in string.gmatch(sub(lane, 1, zero - 1), '[^,]+') do
      if not can[need] then return false end
    end
  end
  return true
end

-- the first lanes of a band that fit, with their virtual times: {lane, time, …}
local function fitting(band, most, can, tenants)
  local found, from = {}, 0
  while true do
    local page = call('ZRANGE', P .. 'l:' .. band, from, from + 99, 'WITHSCORES')
    for i = 1, #page, 2 do
      if fits(page[i], can, tenants) then
        found[#found + 1] = page[i]
        found[#found + 1] = tonumber(page[i + 1])
        if #found >= 2 * most then return found end
      end
    end
    if #page < 200 then return found end
    from = from + 100
  end
end

local function weights_of(lanes)
  local weights, sum = {}, 0
  if call('EXISTS', P .. 'w') == 1 then
    for i = 1, #lanes, 2 do
      local tenant = sub(lanes[i], string.find(lanes[i], '\0', 1, true) + 1)
      weights[i] = tonumber(call('HGET', P .. 'w', tenant) or '1')
      sum = sum + weights[i]
    end
    return weights, sum
  end
  return nil, #lanes / 2
end

-- take up to n ids of a band into out, shared among its lanes by weight
local function take(band, n, out, can, tenants)
  local lanes_key, served = P .. 'l:' .. band, nil
  while n > 0 do
    local lanes = fitting(band, min(n, 100), can, tenants)
    if #lanes == 0 then break end
    local weights, sum = weights_of(lanes)
    local round = n
    for i = 1, #lanes, 2 do
      if n <= 0 then break end
      local lane, at, weight = lanes[i], lanes[i + 1], weights and weights[i] or 1
      local key = P .. 'q:' .. band .. ':' .. lane
      local want = min(n, max(1, floor(round * weight / sum)))
      if #lanes == 2 then want = n end
      local ids = call('LPOP', key, want) or {}
      for k = 1, #ids do out[#out + 1] = ids[k] end
      n = n - #ids
      local after = at + #ids / weight
      served = max(served or at, at)
      if #ids < want or call('EXISTS', key) == 0 then
        call('ZREM', lanes_key, lane)
        served = max(served, after) -- a lane that comes back soon starts where it left
      else
        call('ZADD', lanes_key, format('%.17g', after), lane)
      end
    end
  end
  if served then
    call('HSET', P .. 'v', band, format('%.17g', served))
    if call('EXISTS', lanes_key) == 0 then call('ZREM', P .. 'b', band) end
  end
  return n
end

local function bands() return call('ZRANGE', P .. 'b', 0, -1) end

-- the band at whose head a job waits longest
local function oldest(all, can, tenants)
  local best, since
  for _, band in ipairs(all) do
    local lanes = fitting(band, 1, can, tenants)
    local id = lanes[1] and call('LINDEX', P .. 'q:' .. band .. ':' .. lanes[1], 0)
    local record = id and call('HGET', P .. 'm', id)
    if record then
      local created = unpack_('>d', sub(record, 41, 48))
      if not best or created < since then best, since = band, created end
    end
  end
  return best
end

-- every 16th job goes to the longest waiting band, so that nothing starves; the turns among the next n
local function turns_of_age(n)
  local turn = tonumber(call('HGET', P .. 'c', 'n') or '0')
  return floor((turn + n) / 16) - floor(turn / 16)
end

-- up to n ids in the order in which they should start; some may not be available any more
local function pop(n, can, tenants)
  local all, out = bands(), {}
  if #all > 1 then
    local aged = turns_of_age(n)
    local band = aged > 0 and oldest(all, can, tenants)
    if band then
      local first = {}
      take(band, aged, first, can, tenants)
      local left = n - #first
      for _, other in ipairs(all) do if left > 0 then left = take(other, left, out, can, tenants) end end
      for i = 1, #first do out[#out + 1] = first[i] end
      return out
    end
  end
  for _, band in ipairs(all) do
    if n <= 0 then break end
    n = take(band, n, out, can, tenants)
  end
  return out
end
