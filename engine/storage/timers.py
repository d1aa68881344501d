"""What becomes due: scheduled and retryable jobs, jobs that were not started in time, leases that ran out.

The poison rule: a rescue counts as a crash if the attempt is known to have run, or if the job was claimed alone.  A job
that was rescued from a claim it shared is claimed alone from then on, so after ``CRASH_CAP`` counted crashes it is
certain that the job was there each time, and it is dead.
"""

from __future__ import annotations

import heapq

from engine.kernel import events as ev
from engine.kernel.job import Job, JobState
from engine.storage.base import CRASH_CAP
from engine.storage.claiming import seconds_until_token
from engine.storage.fold import Fold
from engine.storage.records import Lease

#: scheduled jobs made available in one go, so that a crowd that is due at once does not hold the lock for long
CROWD = 2_000


class Timers:
    """Reads the fold's heaps.  The owner's lock is held."""

    def __init__(self, fold: Fold) -> None:
        self._fold = fold

    def make_due(self) -> bool:
        """Make due jobs available; whether there were any.  Follows from the time alone, so no event is written."""
        clock = self._fold.clock
        due = self._pop_due(self._fold.scheduled, clock.now(), JobState.SCHEDULED)
        due += self._pop_due(self._fold.backing_off, clock.monotonic(), JobState.RETRYABLE)
        for job in due:
            if job.state != JobState.AVAILABLE:  # two entries of one job may come due together
                self._fold.make_available(job)
        return bool(due)

    def _pop_due(self, heap: list[tuple[float, int, Job]], now: float, state: JobState) -> list[Job]:
        due: list[Job] = []
        while heap and heap[0][0] <= now and len(due) < CROWD:
            at, _, job = heapq.heappop(heap)
            if job.state == state and (state == JobState.RETRYABLE or job.run_at <= at):
                due.append(job)
        return due

    def expired(self, now: float) -> list[ev.Event]:
        """Cancellations of jobs that were not started in time."""
        events: list[ev.Event] = []
        heap = self._fold.expiring
        while heap and heap[0][0] <= now:
            _, _, job = heapq.heappop(heap)
            if job.id in self._fold.jobs and job.state in (JobState.AVAILABLE, JobState.SCHEDULED) and not job.attempt:
                reason = "expired: not started in time"
                events.append(ev.JobCancelled(now, job.id, 0, 0, reason=reason, queue=job.queue))
        return events

    def rescued(self, everything: bool = False) -> list[ev.Event]:
        """Rescues of jobs whose lease ran out, or of all that are held; those that were asked to stop are given up."""
        monotonic = self._fold.clock.monotonic()
        events: list[ev.Event] = []
        for token, lease in list(self._fold.leases.items()):
            if (everything and not lease.carried) or lease.deadline <= monotonic:
                events += [self._rescue(self._fold.jobs[id_], token, lease) for id_ in sorted(lease.ids)]
                if not lease.ids:
                    del self._fold.leases[token]
        return events

    def _rescue(self, job: Job, token: int, lease: Lease) -> ev.Event:
        at = self._fold.clock.now()
        ran = bool(job.started_at) or lease.alone
        poison = ran and job.crashes + 1 >= CRASH_CAP
        kind: type[ev.AttemptEnded] = ev.JobDied if poison else ev.JobRescued
        reason = ev.POISON if poison else ev.CRASHED if ran else ev.UNKNOWN_START
        if job.cancelling:
            kind, reason = ev.JobCancelled, ev.GIVEN_UP
        return kind(at, job.id, token, job.attempt, lease.agent, job.started_at, reason=reason, queue=job.queue)

    def next_delay(self) -> float | None:
        """Seconds until something is due; ``None`` if nothing is."""
        fold = self._fold
        clock = fold.clock
        times = [heap[0][0] - clock.now() for heap in (fold.scheduled, fold.expiring) if heap]
        if fold.backing_off:
            times.append(fold.backing_off[0][0] - clock.monotonic())
        times += [lease.deadline - clock.monotonic() for lease in fold.leases.values() if not lease.carried]
        for queue in fold.queues.values():
            if queue.limits.rate is not None and queue.counts[JobState.AVAILABLE]:
                wait = seconds_until_token(queue, clock.monotonic())
                times += [wait] if wait else []
        return max(0.0, min(times)) if times else None
