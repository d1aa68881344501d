"""rq with the worker that does not fork for each job: one at a time, its fastest."""

from __future__ import annotations

import counted
from redis import Redis
from rq import Queue, SimpleWorker

connection = Redis(port=counted.PORT)
queue = Queue("bench", connection=connection)


def enqueue(n: int) -> None:
    queue.enqueue(counted.noop, n, counted.TEXT, result_ttl=0)


def work() -> None:
    SimpleWorker([queue], connection=connection).work(burst=True, logging_level="ERROR")


counted.answer(enqueue, work)
