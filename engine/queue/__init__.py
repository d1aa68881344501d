"""What a job is made of before it runs: tasks, argument checks, the codec, retry decisions, failures."""
