-- Answers {available, scheduled, backing off, running, dead, paused, seconds that the rate limit holds the next job back}.
local counts = call('HMGET', P .. 'c', 'A', 'S', 'Y', 'R', 'D')
for i = 1, 5 do counts[i] = tonumber(counts[i] or '0') end
for key, place in pairs({s = 2, y = 3}) do
  local due = call('ZCOUNT', P .. key, '-inf', now)
  counts[1] = counts[1] + due
  counts[place] = counts[place] - due
end
local cfg = limits()
counts[6] = cfg[1] == '1' and 1 or 0
counts[7] = cfg[3] and format('%.6f', (bucket(cfg[3], cfg[4], cfg[5], cfg[6]))) or '0'
return counts
