"""What the parts of the pool stand on in their own tests: a store in memory, a job in it, events about it."""

from __future__ import annotations

from engine.kernel import events as ev
from engine.kernel.clock import Clock
from engine.kernel.job import Job
from engine.storage.base import Claim, Store, Want
from tests.support.stores import enqueued


def put(store: Store, clock: Clock, count: int, queue: str = "q") -> list[str]:
    """Ids of that many jobs that wait."""
    return [accepted.id for accepted in store.put([enqueued(clock, queue=queue) for _ in range(count)])]


def claim(store: Store, most: int, queue: str = "q") -> Claim:
    taken = store.claim(Want({queue: most}, "a", most))
    assert taken is not None
    return taken


class Started:
    """An attempt that began now.  Implements ``engine.workers.finisher.Begun``."""

    def __init__(self, job: Job, token: int, clock: Clock) -> None:
        self.started_at = clock.now()
        self._event = ev.JobStarted(self.started_at, job.id, token, job.attempt, "a/1")

    def start(self) -> ev.JobStarted:
        return self._event


def completed(job: Job, token: int, clock: Clock) -> ev.JobCompleted:
    return ev.JobCompleted(clock.now(), job.id, token, job.attempt, "a/1", clock.now(), 0.1)
