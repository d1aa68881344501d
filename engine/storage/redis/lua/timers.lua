-- What becomes due: scheduled jobs, backed off ones; and when the next thing is.

-- jobs made available in one go, so that a crowd that is due at once does not hold Redis for long
local CROWD = 500

local function make_due_of(key, state)
  local ids = call('ZRANGEBYSCORE', P .. key, '-inf', now, 'LIMIT', 0, CROWD)
  if #ids == 0 then return 0 end
  call('ZREMRANGEBYRANK', P .. key, 0, #ids - 1)
  local recs, due, fresh, flat = records(ids), {}, {}, {}
  for i = 1, #ids do
    if recs[i] and sub(recs[i], 1, 1) == state then
      local k = #due + 1
      due[k], fresh[k] = ids[i], 'A' .. sub(recs[i], 2)
      flat[2 * k - 1], flat[2 * k] = ids[i], fresh[k]
    end
  end
  put_flat('m', flat)
  push_all(due, fresh, false)
  count(state, -#due)
  count('A', #due)
  return #ids
end

-- make due jobs available; whether there may be more
local function make_due()
  local scheduled, backing_off = make_due_of('s', 'S'), make_due_of('y', 'Y')
  if scheduled + backing_off > 1 then wake() end
  return scheduled == CROWD or backing_off == CROWD
end

-- seconds until the rate limit lets the next job go, and what the bucket holds now; cfg as HMGET gives it
local function bucket(rate, period, level, at)
  rate, period = tonumber(rate), tonumber(period)
  level = min(rate, tonumber(level) + max(0, now - tonumber(at)) * rate / period)
  return max(0, (1 - level) * period / rate), level
end

local LIMITS = {'paused', 'conc', 'rate', 'period', 'bucket', 'bucket_at', 'reclaim'}

local function limits() return call('HMGET', P .. 'cfg', unpack(LIMITS)) end

-- seconds until something of the zsets `keys` is due, or the rate limit lets a job go; '' if nothing will be
local function next_due(cfg, keys)
  local soonest = nil
  for _, key in ipairs(keys) do
    local first = call('ZRANGE', P .. key, 0, 0, 'WITHSCORES')[2]
    if first and (not soonest or tonumber(first) < soonest) then soonest = tonumber(first) end
  end
  local wait = soonest and max(0, soonest - now)
  if cfg[3] and call('EXISTS', P .. 'b') == 1 then
    local token = bucket(cfg[3], cfg[4], cfg[5], cfg[6])
    if token > 0 and (not wait or token < wait) then wait = token end
  end
  return wait and format('%.6f', wait) or ''
end
