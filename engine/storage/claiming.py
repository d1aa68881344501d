"""Which jobs a claim takes: across queues by their priority, within the limits of each.

A queue's concurrency counts all its running jobs, its rate limit is a token bucket that holds one period's worth and
refills evenly; a job that was taken back from a dead holder is claimed alone, so that if it is the one that kills its
worker, nobody is blamed with it (see the poison rule in ``timers``).
"""

from __future__ import annotations

from engine.kernel.job import Job, JobState
from engine.storage.base import QueueLimits, Want
from engine.storage.fold import Fold
from engine.storage.records import QueueFold


class Claiming:
    """Picks jobs out of the fold; changes nothing but the order and the buckets.  The owner's lock is held."""

    def __init__(self, fold: Fold) -> None:
        self._fold = fold
        self._turn = 0
        self._by_priority: list[QueueFold] = []
        #: queue whose first job has to be claimed alone and found others in the claim; the next claim begins with it
        self._owed: QueueFold | None = None

    def configure(self, queue: str, limits: QueueLimits) -> None:
        """Set a queue's limits."""
        entry = self._fold.queue(queue)
        if limits.rate is not None and limits.rate != entry.limits.rate:
            entry.bucket, entry.bucket_at = limits.rate[0], self._fold.clock.monotonic()
        entry.limits = limits
        entry.order.weights = dict(limits.weights)
        self._by_priority = []

    def limited_wait(self) -> bool:
        """Whether jobs wait in a queue of limited concurrency: an end may have let one of them go."""
        queues = self._fold.queues.values()
        return any(queue.limits.concurrency is not None and queue.counts[JobState.AVAILABLE] for queue in queues)

    def take(self, want: Want) -> list[Job]:
        """The jobs wanted, in the order in which they should start."""
        room, most = want.room, want.most
        taken: list[Job] = []
        owed, self._owed = self._owed, None
        for queue in self._queues() if owed is None else [owed, *self._queues()]:
            if queue.name not in room or queue.paused or not queue.counts[JobState.AVAILABLE]:
                continue
            self._take_from(queue, min(room[queue.name], most - len(taken), self._allowed(queue)), taken, want)
            if len(taken) >= most or (taken and taken[-1].rescues):
                break
        return taken

    def _take_from(self, queue: QueueFold, most: int, taken: list[Job], want: Want) -> None:
        before = len(taken)
        order, capabilities, tenants = queue.order, want.capabilities, want.tenants
        while len(taken) - before < most:
            job = order.pop(capabilities, tenants)
            if job is None:
                break
            if job.rescues and taken:
                order.push_front(job)
                self._owed = self._owed or queue
                break
            taken.append(job)
            if job.rescues:
                break
        if queue.limits.rate is not None:
            queue.bucket -= len(taken) - before

    def _queues(self) -> list[QueueFold]:
        """Queues by priority; those of equal priority take turns."""
        queues = self._fold.queues
        if len(self._by_priority) != len(queues):
            self._by_priority = sorted(queues.values(), key=lambda queue: queue.limits.priority)
        self._turn += 1
        if len(queues) < 2:
            return self._by_priority
        turn = self._turn % len(queues)
        rotated = self._by_priority[turn:] + self._by_priority[:turn]
        return sorted(rotated, key=lambda queue: queue.limits.priority)

    def _allowed(self, queue: QueueFold) -> int:
        limits = queue.limits
        allowed = 1 << 30
        if limits.concurrency is not None:
            allowed = limits.concurrency - queue.counts[JobState.RUNNING] + queue.carried
        if limits.rate is not None:
            refill(queue, self._fold.clock.monotonic())
            allowed = min(allowed, int(queue.bucket))
        return allowed


def refill(queue: QueueFold, monotonic: float) -> None:
    """Bring a queue's token bucket up to date."""
    assert queue.limits.rate is not None
    size, period = queue.limits.rate
    queue.bucket = min(size, queue.bucket + (monotonic - queue.bucket_at) * size / period)
    queue.bucket_at = monotonic


def seconds_until_token(queue: QueueFold, monotonic: float) -> float:
    """How long until the rate limit lets the next job go; 0 if it does now."""
    refill(queue, monotonic)
    assert queue.limits.rate is not None
    size, period = queue.limits.rate
    return max(0.0, (1.0 - queue.bucket) * period / size)
