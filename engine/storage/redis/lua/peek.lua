-- ARGV[2] a state letter, ARGV[3] how many.  Answers ids: available ones as they would be claimed, scheduled and backed off
-- ones soonest first, dead ones as they died, running ones by claim.
local state, most = ARGV[2], tonumber(ARGV[3])
make_due()
settle('', 0)

local function running()
  local ids = {}
  for _, token in ipairs(call('ZRANGE', P .. 'x', 0, -1)) do
    local kept = call('HGET', P .. 'xl', token) or '\n'
    for id in string.gmatch(sub(kept, string.find(kept, '\n', 1, true) + 1), '%S+') do ids[#ids + 1] = id end
  end
  return ids
end

-- the first available jobs of a lane; ids of jobs that left by other ways than a claim are dropped where they come first
local function of_lane(band, lane, left)
  local key, found, from = P .. 'q:' .. band .. ':' .. lane, {}, 0
  while #found < left do
    local page = call('LRANGE', key, from, from + 499)
    if #page == 0 then break end
    local before = #found
    local recs = records(page)
    for i = 1, #page do
      if recs[i] and byte(recs[i]) == 65 then found[#found + 1] = page[i] end
    end
    if #found == before and from == 0 then call('LTRIM', key, #page, -1) else from = from + #page end
  end
  if #found == 0 and call('EXISTS', key) == 0 then
    call('ZREM', P .. 'l:' .. band, lane)
    if call('EXISTS', P .. 'l:' .. band) == 0 then call('ZREM', P .. 'b', band) end
  end
  return found
end

-- the available jobs of a band, each at the virtual time at which its lane would be served
local function of_band(band, left)
  local places = {}
  local lanes = call('ZRANGE', P .. 'l:' .. band, 0, -1, 'WITHSCORES')
  local weights = weights_of(lanes)
  for i = 1, #lanes, 2 do
    local ids = of_lane(band, lanes[i], left)
    for k = 1, #ids do
      places[#places + 1] = {tonumber(lanes[i + 1]) + (k - 1) / (weights and weights[i] or 1), i, k, ids[k]}
    end
  end
  table.sort(places, function(a, b)
    if a[1] ~= b[1] then return a[1] < b[1] end
    if a[2] ~= b[2] then return a[2] < b[2] end
    return a[3] < b[3]
  end)
  return places
end

local function available()
  local ids, seen = {}, {}
  for _, band in ipairs(bands()) do
    for _, place in ipairs(of_band(band, most - #ids)) do
      local id = place[4]
      if #ids < most and not seen[id] then
        seen[id] = true
        ids[#ids + 1] = id
      end
    end
    if #ids >= most then break end
  end
  return ids
end

if state == 'A' then return available() end
if state == 'R' then return running() end
local keys = {S = 's', Y = 'y', D = 'd'}
if not keys[state] then return {} end
return call('ZRANGE', P .. keys[state], 0, most - 1)
