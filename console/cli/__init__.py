"""The command line: what an operator types after ``python3 run.py``."""
