"""Other job queues, run on the same work in an environment and on a server of their own."""
