-- An agent takes messages out of its box.  KEYS[1] tag of the fleet; ARGV[1] agent, the rest: entries.
-- Answers for each whether it was still there.
local answers = {}
for index = 2, #ARGV do answers[index - 1] = redis.call('ZREM', KEYS[1] .. 'box:' .. ARGV[1], ARGV[index]) end
return answers
