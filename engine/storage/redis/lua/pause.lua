-- ARGV[2] at, ARGV[3] who, ARGV[4] the queue's name, ARGV[5] 1 to pause, 0 to resume.  Answers {events, their blob}.
call('HSET', P .. 'cfg', 'paused', ARGV[5])
tell({ARGV[5] == '1' and 'qp' or 'qr', tonumber(ARGV[2]), ARGV[4], ARGV[3]})
wake()
return {settle('', 0)}
