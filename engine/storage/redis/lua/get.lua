-- ARGV[2…] ids.  Answers for each nothing, {record .. end} if it ended for good, or {record, event, last failed end, last
-- snooze, progress, when it is due}.
local answers = {}
local ids = {}
for i = 2, #ARGV do ids[#ids + 1] = ARGV[i] end
local recs, over = records(ids), nil
for i = 1, #ids do
  local id, record = ids[i], recs[i]
  if record then
    local state = sub(record, 1, 1)
    local due = state == 'S' and call('ZSCORE', P .. 's', id) or state == 'Y' and call('ZSCORE', P .. 'y', id) or ''
    answers[i] = {record, call('HGET', P .. 'j', id) or '', call('HGET', P .. 'f', id) or '',
      call('HGET', P .. 'z', id) or '', call('HGET', P .. 'p', id) or '', due or ''}
  else
    over = over or call('HMGET', P .. 'r', unpack(ids))
    answers[i] = over[i] and {over[i]} or {}
  end
end
return answers
