-- ARGV[2…] ids.  Answers the letter of each job's state, '' for unknown ones.
local ids, answer = {}, {}
for i = 2, #ARGV do ids[#ids + 1] = ARGV[i] end
local live, over = records(ids), call('HMGET', P .. 'r', unpack(ids))
for i = 1, #ids do
  local record = live[i] or over[i]
  answer[i] = record and sub(record, 1, 1) or ''
end
return answer
