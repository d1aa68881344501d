-- ARGV[2] what is wanted, see claiming.lua.
local answer = claim(cmsgpack.unpack(ARGV[2]))
settle('', 0)
return answer
