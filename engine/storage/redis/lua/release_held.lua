-- ARGV[2] agent, ARGV[3] a token, ARGV[4…] tokens to leave out.  Answers the lower tokens of leases that the agent holds.
local kept, tokens = {}, {}
for i = 4, #ARGV do kept[ARGV[i]] = true end
for _, token in ipairs(call('ZRANGE', P .. 'x', 0, -1)) do
  local lease = not kept[token] and token < ARGV[3] and call('HGET', P .. 'xl', token)
  if lease and sub(lease, 2, string.find(lease, '\n', 1, true) - 1) == ARGV[2] then tokens[#tokens + 1] = token end
end
return tokens
