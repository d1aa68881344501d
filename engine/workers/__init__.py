"""What runs jobs: the feeder of claims, the attempt pipeline, isolation, the pool of workers and its helpers."""
