"""The live state itself: the table of jobs with everything that is indexed by it, and the elementary moves.

Which moves there are for which event is ``fold``'s; that they are allowed at all is the transition table's.  While
``replaying``, the claim order and the heaps of due times are left alone; ``settle`` builds them once at the end.
"""

from __future__ import annotations

import copy
import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable

from engine.kernel.clock import Clock
from engine.kernel.job import TERMINAL, Job, JobState, may_move
from engine.storage.guests import Guests
from engine.storage.records import Ended, Lease, QueueFold, Value

AVAILABLE, SCHEDULED, RETRYABLE = JobState.AVAILABLE, JobState.SCHEDULED, JobState.RETRYABLE


#: entries after which leftovers are looked for
SWEEP = 10_000


class JobTable:
    """Live jobs, leases, lately ended jobs, keys and values.  Not thread-safe: the owner holds a lock."""

    def __init__(self, clock: Clock, lease_seconds: float, result_limit: int, idempotency_ttl: float) -> None:
        self.clock = clock
        self.lease_seconds = lease_seconds
        self.result_limit = result_limit
        self.idempotency_ttl = idempotency_ttl
        self.replaying = False
        self.jobs: dict[str, Job] = {}
        self.queues: dict[str, QueueFold] = {}
        self.leases: dict[int, Lease] = {}
        self.token = 0
        self.ended: OrderedDict[str, Ended] = OrderedDict()
        #: idempotency key -> (job id, wall time until which it is remembered)
        self.requests: OrderedDict[str, tuple[str, float]] = OrderedDict()
        #: (queue, unique key) -> id of the job that holds it
        self.unique: dict[tuple[str, str], str] = {}
        self.values: dict[str, Value] = {}
        self.progress: dict[str, tuple[float, str]] = {}
        self.guests = Guests()
        #: jobs waiting for a wall time, as (time, number, job)
        self.scheduled: list[tuple[float, int, Job]] = []
        #: failed jobs waiting for their backoff, as (monotonic time, …): a jump of the wall clock releases no storm
        self.backing_off: list[tuple[float, int, Job]] = []
        #: waiting jobs that must start before a wall time
        self.expiring: list[tuple[float, int, Job]] = []
        self._number = 0
        #: told of a job just before it changes or goes, while a snapshot is being taken
        self.before_change: Callable[[Job], None] | None = None

    def queue(self, name: str) -> QueueFold:
        """The queue of that name, made when first named."""
        queue = self.queues.get(name)
        if queue is None:
            queue = self.queues[name] = QueueFold(name)
        return queue

    def move(self, job: Job, state: JobState) -> None:
        """Change a job's state; every change goes through here and through the transition table."""
        if not may_move(job.state, state):
            raise ValueError(f"job {job.id}: no move from {job.state} to {state}")
        if self.before_change is not None:
            self.before_change(job)
        counts = self.queue(job.queue).counts
        counts[job.state] -= 1
        counts[state] += 1
        job.state = state

    def make_available(self, job: Job, front: bool = False) -> None:
        """Move a job to ``available`` and give it its place in the order."""
        self.move(job, AVAILABLE)
        if not self.replaying:
            order = self.queue(job.queue).order
            order.push_front(job) if front else order.push(job)

    def lift_out(self, job: Job) -> Job:
        """A waiting job that is taken out of its turn: a copy stands in the table, what is left elsewhere is stale."""
        if self.before_change is not None:
            self.before_change(job)
        if job.state == AVAILABLE:
            self.queue(job.queue).order.left()
        fresh = self.jobs[job.id] = copy.copy(job)
        job.state = JobState.CANCELLED
        return fresh

    def settle(self) -> None:
        """End a replay: build the order and the heaps from the jobs that are there."""
        self.replaying = False
        for job in self.jobs.values():
            self.place(job)

    def place_all(self, jobs: Iterable[Job]) -> None:
        """Take over jobs from a snapshot."""
        for job in jobs:
            self.jobs[job.id] = job
            self.queue(job.queue).counts[job.state] += 1
            if job.unique and job.state not in TERMINAL:
                self.unique[job.queue, job.unique] = job.id

    def remember(self, ended: Ended) -> None:
        """Keep a result, and forget the oldest beyond the limit."""
        self.ended[ended.id] = ended
        if len(self.ended) > self.result_limit:
            self.ended.popitem(last=False)

    def forget_before(self, ended_at: float, now: float) -> None:
        """Forget results of jobs that ended before ``ended_at``, and requests that need not be known any more."""
        while self.ended and next(iter(self.ended.values())).finished_at < ended_at:
            self.ended.popitem(last=False)
        while self.requests:
            key, (id_, until) = next(iter(self.requests.items()))
            if until > now:
                return
            del self.requests[key]
            if id_ in self.jobs:
                self.requests[key] = (id_, now + self.idempotency_ttl)

    def place(self, job: Job) -> None:
        if job.state == AVAILABLE:
            self.queue(job.queue).order.push(job)
        elif job.state == SCHEDULED:
            self.push(self.scheduled, job.run_at, job)
        elif job.state == RETRYABLE:
            self.push(self.backing_off, self.clock.monotonic() + max(0.0, job.run_at - self.clock.now()), job)
        if job.expires_at and job.state in (AVAILABLE, SCHEDULED) and not job.attempt:
            self.push(self.expiring, job.expires_at, job)

    def push(self, heap: list[tuple[float, int, Job]], at: float, job: Job) -> None:
        self._number += 1
        heapq.heappush(heap, (at, self._number, job))
        if not self._number % SWEEP:
            self._sweep()

    def _sweep(self) -> None:
        """Forget times that their jobs won't see: a job that was cancelled or is done would stay until it is due."""
        for heap in (self.scheduled, self.backing_off, self.expiring):
            if len(heap) > 2 * len(self.jobs) + SWEEP:
                heap[:] = [entry for entry in heap if self.jobs.get(entry[2].id) is entry[2]]
                heapq.heapify(heap)

    def hold(self, token: int, agent: str, ids: set[str]) -> None:
        """Lease jobs to an agent."""
        self.token = max(self.token, token)
        lease = Lease(agent, self.clock.monotonic() + self.lease_seconds, ids)
        if not lease.carried or ids:
            self.leases[token] = lease
        if lease.carried:
            for id_ in ids:
                self.queue(self.jobs[id_].queue).carried += 1

    def wait_until(self, job: Job, run_at: float, heap: list[tuple[float, int, Job]], at: float) -> None:
        job.run_at = run_at
        if not self.replaying:
            monotonic = heap is self.backing_off
            self.push(heap, self.clock.monotonic() + max(0.0, run_at - at) if monotonic else run_at, job)

    def forget(self, job: Job) -> None:
        """Take a job that ended or was deleted out of the live table."""
        self.jobs.pop(job.id, None)
        self.queue(job.queue).counts[job.state] -= 1
        self.free_unique(job)

    def free_unique(self, job: Job) -> None:
        if job.unique and self.unique.get((job.queue, job.unique)) == job.id:
            del self.unique[job.queue, job.unique]
