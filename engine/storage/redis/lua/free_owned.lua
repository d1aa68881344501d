-- Gives jobs that nodes held for themselves to the fleet, in nobody's lane: those nodes are gone.  ARGV[2] queue, ARGV[3] and
-- [4] seconds that results are kept and how many, ARGV[5] seconds that requests are remembered, ARGV[6] names of the nodes and
-- [7] ids as msgpack lists, ARGV[8] the JobsOffered event as written, ARGV[9] who asks.  Answers how many jobs went.
given.node, given.queue, given.ttl, given.limit, given.request_ttl =
  '', ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local gone_nodes, theirs = {}, {}
for _, name in ipairs(cmsgpack.unpack(ARGV[6])) do gone_nodes[name] = true end
for _, id in ipairs(cmsgpack.unpack(ARGV[7])) do
  local waiting = call('HGET', P .. 'o', id)
  local owner = waiting and string.match(waiting, '^%a %S+ %S+ (.*)$')
  if owner and gone_nodes[owner] then theirs[#theirs + 1] = id end
end
if #theirs == 0 then return 0 end
local moves = {{2, #ARGV[8], theirs}}
load(moves)
fold(moves, ARGV[8])
write_all()
settle(ARGV[8], 1, {'w', ARGV[9]})
return #theirs
