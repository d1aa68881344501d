-- One shipment of a lane made true: checked against the lane's mark, folded (fold.lua), and what came of it written (write.lua).
--
-- ARGV[2] node, [3] the lane's kind, [4] epoch, [5] and [6] number and chain before the shipment, [7] and [8] after it,
-- [9] the moves and [10] the events themselves (see moves.py), [11] the events' numbers as a msgpack list of differences,
-- [12] the queue's name, [13] seconds that results are kept and [14] how many, [15] seconds that requests are remembered.
--
-- Answers {status, number and chain of the lane's mark}, of what is applied or known {id, id that was first, …} of requests
-- that were known too, and of what is applied milliseconds, {index, …} of ends that came too late, {index, kind, first, …} of
-- conflicts.
--
-- The stream's entry has further fields: node, lane (its kind), nums (as ARGV[11]), at (milliseconds).  A mark is kept in
-- the hash `n` under `node|kind` as "epoch number chain".  Nothing is written before everything was read.

local node, kind, epoch = ARGV[2], ARGV[3], tonumber(ARGV[4])
local before, last = tonumber(ARGV[5]), tonumber(ARGV[7])
local field = node .. '|' .. kind

local function refusal()
  local kept_epoch, mark, chain = 0, 0, string.rep('\0', 32)
  local kept = call('HGET', P .. 'n', field)
  if kept then
    local _, to, a, b = string.find(kept, '^(%d+) (%d+) ')
    kept_epoch, mark, chain = tonumber(a), tonumber(b), sub(kept, to + 1)
  end
  if kept_epoch > epoch then return {'fenced', mark, chain} end
  if last == mark then return {chain == ARGV[8] and 'known' or 'chain', mark, chain} end
  if last < mark then return {'known', mark, chain} end
  if before ~= mark then return {'gap', mark, chain} end
  if chain ~= ARGV[6] then return {'chain', mark, chain} end
  return nil
end

given.node, given.queue, given.ttl, given.limit, given.request_ttl =
  node, ARGV[12], tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15])
local moves = cmsgpack.unpack(ARGV[9])
local refused_as = refusal()
if refused_as then
  if refused_as[1] == 'known' then refused_as[4] = merged_before(moves) end
  return refused_as
end
load(moves)
fold(moves, ARGV[10])

-- A full Redis refuses the first write that takes room and no later one: jobs may be refused so, ends never.  The mark moves
-- on last: were anything to fail before, the shipment would come again.
if kind == 'ends' then call('HDEL', P .. 'n', '') end
call('HSET', P .. 'n', field, format('%.0f %.0f ', epoch, before) .. ARGV[6])
write_all()

local found = {}
for i, told_of in ipairs(conflicts) do
  found[3 * i - 2], found[3 * i - 1], found[3 * i] = told_of[1], told_of[2], first_ends[i]
end
local at = format('%.0f', now * 1000)
settle(ARGV[10], #moves, {'node', node, 'lane', kind, 'nums', ARGV[11], 'at', at})
call('HSET', P .. 'n', field, format('%.0f %.0f ', epoch, last) .. ARGV[8])
return {'applied', last, ARGV[8], firsts, at, stale, found}
