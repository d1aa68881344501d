-- Puts a message into the boxes of agents and knocks at their doors.  KEYS[1] tag of the fleet; ARGV[1] most messages of a
-- box, ARGV[2] milliseconds that the message is good for, ARGV[3] its priority, 1 (first) to 10, ARGV[4] microseconds after
-- which an agent counts as away, ARGV[5] the message, the rest: agents.
-- A box is a sorted set: `expiry message` by priority and, within one, the newest first; so the last one is the oldest of the
-- least important and goes when the box is full.  Answers for each agent: 2 it is there, 1 the message waits, 0 the box is
-- full of more important ones, -1 there is no such agent.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local priority, lasting = tonumber(ARGV[3]), tonumber(ARGV[2])
local entry = string.format('%.0f', now + lasting * 1000) .. ' ' .. ARGV[5]
local score = priority * 1e13 - redis.call('INCR', KEYS[1] .. 'messages')

local function make_room(box)
  if redis.call('ZCARD', box) < tonumber(ARGV[1]) then return true end
  for _, kept in ipairs(redis.call('ZRANGE', box, 0, -1)) do
    if tonumber(string.match(kept, '^%d+')) < now then redis.call('ZREM', box, kept) end
  end
  if redis.call('ZCARD', box) < tonumber(ARGV[1]) then return true end
  local last = redis.call('ZRANGE', box, -1, -1, 'WITHSCORES')
  if math.ceil(tonumber(last[2]) / 1e13) < priority then return false end
  redis.call('ZREM', box, last[1])
  return true
end

local answers = {}
for index = 6, #ARGV do
  local record = redis.call('HGET', KEYS[1] .. 'agents', ARGV[index])
  local box = KEYS[1] .. 'box:' .. ARGV[index]
  if not record then
    answers[#answers + 1] = -1
  elseif not make_room(box) then
    answers[#answers + 1] = 0
  else
    redis.call('ZADD', box, score, entry)
    if redis.call('PTTL', box) < lasting then redis.call('PEXPIRE', box, lasting) end
    redis.call('PUBLISH', KEYS[1] .. 'door:' .. ARGV[index], '')
    local seen, state = string.match(record, '^(%d+) %S+ (%S+) ')
    local there = state == 'up' and now - tonumber(seen) < tonumber(ARGV[4])
    answers[#answers + 1] = there and 2 or 1
  end
end
return answers
