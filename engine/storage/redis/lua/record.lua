-- Events that are no moves of jobs.  ARGV[2] how many, ARGV[3] their blob.
settle(ARGV[3], tonumber(ARGV[2]))
return 1
