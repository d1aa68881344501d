-- What every script of a queue begins with: keys, time, the record of a job, counts, the stream.
--
-- KEYS[1] is the tag of one queue, as in "{hf:main:emails}:"; all keys below are made of it, so that they share a slot.
-- ARGV[1] is the time override: empty, or microseconds that stand for Redis' time (tests with a clock of their own).
--
--   j     hash   id -> the JobEnqueued event as written (msgpack)
--   m     hash   id -> the record below
--   q:<band>:<lane>  list of ids, in order; may name jobs that are not available any more
--   l:<band>         zset lane -> virtual time; has exactly the lanes whose list is not empty
--   b     zset   bands with a lane        v  hash band -> virtual time         w  hash tenant -> weight, if any is set
--   s, y  zset   id -> when it is due: scheduled, backing off                  e  zset id -> when it expires
--   d     zset   id -> when it died       f  hash id -> its last failed end    z  hash id -> its last snooze (as written)
--   p     hash   id -> its last JobProgressed (as written)
--   x     zset   token -> deadline        xl hash token -> ("1" if claimed alone, else "0") agent "\n" ids with " " between
--   xn    hash   token -> jobs it still holds                                  cx hash token -> ids asked to stop
--   r     hash   id -> record .. last end as written, of jobs that completed or were cancelled
--   rt:<n>  list of ids that ended in a span of time, eb zset of the spans by their ends
--   u     hash   unique key -> id         uk hash id -> its unique key
--   i     hash   idempotency key -> "%017.6f" until .. id                      ix zset key -> until
--   c     hash   jobs by state letter; "n" jobs ever claimed (for ageing); "bytes" of the stream, roughly; "entries" ever
--                written to it and "at", milliseconds of the last, of which the ids of entries are made
--   rd    hash   reader of the stream -> milliseconds when it was there .. " " .. id of the last entry that it has
--   n     hash   node|lane -> mark of a journal's lane     o, od hash  how owned jobs wait, what they could not take (known.lua)
--   cfg   hash   paused, conc, rate, period, bucket, bucket_at, reclaim        t  last token given
--   wk    list   at most one element: there may be work                       ev stream
--   wk+N  list   the same for who has the capability N: another might take the call and leave the job
--   wk@T  list   the same for who takes jobs of the tenant T alone: it might take the call for another's job
--   wn    set    which of those lists there are: +N for the first need of a job, @T written by who takes no others
--
-- The record of a job, a string of fixed places (big-endian):
--   1 state  A available, S scheduled, Y backing off, R running, D dead, O owned by a node, C completed, X cancelled
--   2-5 attempt   6-21 last token, 16 digits; it stays after the job left the lease
--   22 how the last lease stands: "0" claimed, "1" known to have started, "e" ended by its holder
--   23 "1" if asked to stop   24 band (a byte 1-10)   25-28 waived   29-32 extra   33-36 max_attempts
--   37 crashes   38 rescues   39 "1" if it has a unique key   40 "1" if it may expire
--   41-48 created_at (double)   49-56 started_at (double, 0 if it has not)   57-58 bytes of lane   59-60 bytes of task
--   61-  lane: needs "\0" tenant; then task
--
-- The stream has one entry per call that changed something.  Its fields, each there only if it says something:
--   b, n   blob of n events as written by the caller, one msgpack array after the other
--   x      msgpack list of indexes (from 1) of events in b that did not become true: known or refused requests, stale ends
--   t, tn  blob of tn events that the script itself made (claims, rescues, cancellations, …); they come after those of b
--   cf     msgpack list of conflicts: {index in b (from 1), kind, bytes of the first outcome}; cb: the first outcomes, one
--          after the other (the last end as written; empty where there is none)
--   w      agent that wrote, for conflicts of direct ends
--   node, lane, first, last (and more, see apply.lua): of the shipments of a journal

local P = KEYS[1]
local call, sub, byte, char, concat, format, floor, max, min =
  redis.call, string.sub, string.byte, string.char, table.concat, string.format, math.floor, math.max, math.min
local pack, unpack_ = struct.pack, struct.unpack

local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = time[1] * 1000000 + time[2]
end
local micros = now
now = now / 1000000

-- --- the record ---

local NOT_STARTED = '\0\0\0\0\0\0\0\0'
local NO_TOKEN = '0000000000000000'

local function u32(record, at)
  local a, b, c, d = byte(record, at, at + 3)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

local function with_u32(record, at, value)
  return sub(record, 1, at - 1) .. pack('>I4', max(0, value)) .. sub(record, at + 4)
end

local function with_byte(record, at, value)
  return sub(record, 1, at - 1) .. char(min(255, max(0, value))) .. sub(record, at + 1)
end

local function lane_of(record)
  local a, b = byte(record, 57, 58)
  return sub(record, 61, 60 + a * 256 + b)
end

-- the bytes of a record that has something behind it, as in r
local function record_bytes(record)
  local a, b, c, d = byte(record, 57, 60)
  return 60 + (a + c) * 256 + b + d
end

-- what does not change from job to job of one request: state and token are put in front, created_at in the middle
local function new_record(state, band, most, unique, expires, created, lane, task)
  return state .. '\0\0\0\0' .. NO_TOKEN .. '00' .. char(band) .. '\0\0\0\0\0\0\0\0' .. pack('>I4', most) .. '\0\0'
    .. (unique and '1' or '0') .. (expires and '1' or '0') .. pack('>d', created) .. NOT_STARTED
    .. pack('>I2I2', #lane, #task) .. lane .. task
end

-- --- jobs in bulk; a list of ids is never empty and never longer than 1000 ---

local function records(ids) return call('HMGET', P .. 'm', unpack(ids)) end

-- flat = {id, value, id, value, …}
local function put_flat(key, flat) if #flat > 0 then call('HSET', P .. key, unpack(flat)) end end

local function drop_jobs(ids)
  call('HDEL', P .. 'm', unpack(ids))
  call('HDEL', P .. 'j', unpack(ids))
end

-- forget what jobs said and why they waited; called for jobs that ended for good
local side_keys = nil
local function drop_sides(ids)
  if not side_keys then
    side_keys = {}
    for _, key in ipairs({'p', 'f', 'z'}) do
      if call('EXISTS', P .. key) == 1 then side_keys[#side_keys + 1] = P .. key end
    end
  end
  for i = 1, #side_keys do call('HDEL', side_keys[i], unpack(ids)) end
end

-- --- counts: gathered here, written by settle() ---

local counted = {}
local function count(state, by) counted[state] = (counted[state] or 0) + by end

-- --- unique keys ---

-- a job lets go of its key; it keeps the memory of it if it may come back (dead)
local function free_unique(id, keep)
  local key = call('HGET', P .. 'uk', id)
  if key then
    if call('HGET', P .. 'u', key) == id then call('HDEL', P .. 'u', key) end
    if not keep then call('HDEL', P .. 'uk', id) end
  end
end

-- --- requests (idempotency keys) ---

local function remember_request(key, id, ttl)
  call('HSET', P .. 'i', key, format('%017.6f', now + ttl) .. id)
  call('ZADD', P .. 'ix', now + ttl, key)
end

-- the id of the job that answered the request first, while it is remembered
local function known_request(key)
  local kept = call('HGET', P .. 'i', key)
  if not kept then return nil end
  local id = sub(kept, 18)
  if tonumber(sub(kept, 1, 17)) > now or call('HEXISTS', P .. 'm', id) == 1 then return id end
  return nil
end

-- --- results ---

-- forget up to `most` of the oldest results, if they are too old or too many
local function sweep_results(ttl, limit, most)
  local oldest = call('ZRANGE', P .. 'eb', 0, 0, 'WITHSCORES')
  if not oldest[1] then return end
  if oldest[2] + ttl >= now and call('HLEN', P .. 'r') <= limit then return end
  local ids = call('LPOP', P .. 'rt:' .. oldest[1], most) or {}
  if #ids > 0 then call('HDEL', P .. 'r', unpack(ids)) end
  if #ids < most then call('ZREM', P .. 'eb', oldest[1]) end
end

-- keep what came of jobs: flat = {id, record .. end, …}, ids the same ids; old results go
local function keep_results(flat, ids, ttl, limit)
  local span = max(ttl / 64, 0.001)
  local bucket = floor(now / span)
  put_flat('r', flat)
  if call('RPUSH', P .. 'rt:' .. bucket, unpack(ids)) == #ids then
    call('ZADD', P .. 'eb', format('%.17g', (bucket + 1) * span), bucket)
  end
  sweep_results(ttl, limit, 2 * #ids + 20)
end

-- --- leases ---

local function drop_lease(token)
  call('HDEL', P .. 'xl', token)
  call('HDEL', P .. 'xn', token)
  call('HDEL', P .. 'cx', token)
  call('ZREM', P .. 'x', token)
end

-- jobs left a lease
local function leave_lease(token, jobs)
  if call('HINCRBY', P .. 'xn', token, -jobs) <= 0 then drop_lease(token) end
end

-- a token higher than all that were given here, at least Redis' time in microseconds and at least `least`
local function next_token(least)
  local last = tonumber(call('GET', P .. 't') or '0')
  local token = format('%016.0f', max(last + 1, micros, least))
  call('SET', P .. 't', token)
  return token
end

-- --- waking ---

local function wake()
  if call('LLEN', P .. 'wk') == 0 then call('LPUSH', P .. 'wk', '1') end
  for _, kind in ipairs(call('SMEMBERS', P .. 'wn')) do
    if call('LLEN', P .. 'wk' .. kind) == 0 then call('LPUSH', P .. 'wk' .. kind, '1') end
  end
end

-- --- events that the script makes, conflicts, ended jobs: gathered here, written by settle() ---

local told, left_out, conflicts, first_ends, ended_ids = {}, {}, {}, {}, {}

local function tell(event) told[#told + 1] = cmsgpack.pack(event) end

-- the end of an attempt that nobody wrote: a rescue ("U"), a cancellation ("X"), a death ("D"); answers it as written
local function tell_end(tag, at, id, token, attempt, worker, started_at, reason, queue)
  local p = cmsgpack.pack
  local event = '\159' .. p(tag) .. p(at) .. p(id) .. p(token) .. p(attempt) .. p(worker) .. p(started_at)
    .. '\0\255\0\192\192\0' .. p(reason) .. p(queue)
  told[#told + 1] = event
  return event
end

-- event number `index` of the caller's blob did not become true
local function leave_out(index) left_out[#left_out + 1] = index end

-- event number `index` came too late or clashes; `first` is the end that stands, as written, or ''
local function conflict(index, kind, first)
  conflicts[#conflicts + 1] = {index, kind, #first}
  first_ends[#first_ends + 1] = first
end

-- jobs ended for good: whoever waits for them is told
local function ended(ids) for i = 1, #ids do ended_ids[#ended_ids + 1] = ids[i] end end

local entry
do

-- bytes of the stream that are kept, roughly; what live readers have not read yet may grow beyond it up to the second
local STREAM_BYTES, UNREAD_BYTES = 33554432, 134217728
-- seconds after which a reader that does not say how far it is counts no more
local READER_SECONDS = 60

-- numbers of an entry's id, so that ids can be compared
local function parts_of(id)
  local _, _, ms, number = string.find(id, '^(%d+)%-(%d+)$')
  return tonumber(ms), tonumber(number)
end

-- how far the slowest live reader is, nil if there is none
local function read_by_all()
  local kept, lowest, low_ms, low_number = call('HGETALL', P .. 'rd'), nil, nil, nil
  for i = 2, #kept, 2 do
    local _, _, seen, id = string.find(kept[i], '^(%d+) (.+)$')
    if tonumber(seen) / 1000 > now - READER_SECONDS then
      local ms, number = parts_of(id)
      if not lowest or ms < low_ms or ms == low_ms and number < low_number then
        lowest, low_ms, low_number = id, ms, number
      end
    end
  end
  return lowest
end

local function trim(bytes)
  local length = call('XLEN', P .. 'ev')
  local half = floor(length / 2)
  local mark = bytes < UNREAD_BYTES and read_by_all()
  if mark then
    call('XTRIM', P .. 'ev', 'MINID', '~', mark, 'LIMIT', max(half, 100))
  else
    call('XTRIM', P .. 'ev', 'MAXLEN', '~', half)
  end
  call('HSET', P .. 'c', 'bytes', floor(bytes * call('XLEN', P .. 'ev') / max(1, length)))
end

-- The id of the next entry: milliseconds, never less than the last, and the number of the entry.  Numbers have no gaps, so
-- that a reader knows how many entries it missed, and that a history is another one.
local function next_entry()
  local number = call('HINCRBY', P .. 'c', 'entries', 1)
  local last = tonumber(call('HGET', P .. 'c', 'at') or '0')
  local ms = floor(micros / 1000)
  if ms > last then call('HSET', P .. 'c', 'at', format('%.0f', ms)) end
  return format('%.0f-%.0f', max(ms, last), number)
end

-- add an entry to the stream: fields = {name, value, …}, bytes its size, roughly
function entry(fields, bytes)
  call('XADD', P .. 'ev', next_entry(), unpack(fields))
  local total = call('HINCRBY', P .. 'c', 'bytes', bytes + 100)
  if total > STREAM_BYTES then trim(total) end
end

end

-- Write counts, the stream's entry and the news of ended jobs; the last thing a script does.  `blob` holds `n` events of
-- the caller; `more` are further fields {name, value, …}.  Answers the script's own events: how many, and their blob.
local function settle(blob, n, more)
  for state, by in pairs(counted) do if by ~= 0 then call('HINCRBY', P .. 'c', state, by) end end
  if #ended_ids > 0 then call('PUBLISH', P .. 'end', concat(ended_ids, ' ')) end
  local own = concat(told)
  if n - #left_out + #told + #conflicts > 0 then
    local fields = more or {}
    local add = function(name, value) fields[#fields + 1] = name fields[#fields + 1] = value end
    if n > 0 then add('b', blob) add('n', n) end
    if #left_out > 0 then add('x', cmsgpack.pack(left_out)) end
    if #told > 0 then add('t', own) add('tn', #told) end
    if #conflicts > 0 then add('cf', cmsgpack.pack(conflicts)) add('cb', concat(first_ends)) end
    entry(fields, #blob + #own)
  end
  return #told, own
end
