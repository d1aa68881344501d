-- ARGV[2] seconds of the lease, ARGV[3…] tokens.  Answers {tokens that hold nothing any more, ids asked to stop with " "
-- between}.
local deadline, lost, asked = format('%.17g', now + tonumber(ARGV[2])), {}, {}
local wishes = call('EXISTS', P .. 'cx') == 1
for i = 3, #ARGV do
  if call('ZSCORE', P .. 'x', ARGV[i]) then
    call('ZADD', P .. 'x', deadline, ARGV[i])
    local ids = wishes and call('HGET', P .. 'cx', ARGV[i])
    if ids then asked[#asked + 1] = ids end
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return {lost, concat(asked, ' ')}
