-- Puts another end in the place of a job's that completed.  ARGV[2] id, ARGV[3] the end that is there, ARGV[4] the other.
-- Answers 1 if it was there.
local kept = call('HGET', P .. 'r', ARGV[2])
if not kept or sub(kept, 1, 1) ~= 'C' or sub(kept, record_bytes(kept) + 1) ~= ARGV[3] then return 0 end
call('HSET', P .. 'r', ARGV[2], sub(kept, 1, record_bytes(kept)) .. ARGV[4])
ended({ARGV[2]})
settle('', 0)
return 1
