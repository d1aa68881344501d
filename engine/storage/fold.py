"""The live state as a fold over events.

``Fold.apply`` is the only code that changes it, both while running and when a log is replayed, so that what a restart
rebuilds is what was there.  It decides nothing: that an event may happen was checked by whoever made it (``state``).
"""

from __future__ import annotations

from collections.abc import Callable

from engine.kernel import events as ev
from engine.kernel.clock import Clock
from engine.kernel.job import Job, JobState
from engine.storage.guests import GUESTS
from engine.storage.lanes import REMOTE_TOKENS
from engine.storage.records import CARRIER, Ended, Value
from engine.storage.table import JobTable

AVAILABLE, RUNNING, SCHEDULED, RETRYABLE = JobState.AVAILABLE, JobState.RUNNING, JobState.SCHEDULED, JobState.RETRYABLE
DEAD = JobState.DEAD


class Fold(JobTable):
    """A table of jobs that events change."""

    def __init__(self, clock: Clock, lease_seconds: float, result_limit: int, idempotency_ttl: float) -> None:
        super().__init__(clock, lease_seconds, result_limit, idempotency_ttl)
        self._appliers: dict[type, Callable[..., None]] = {
            ev.JobEnqueued: self._enqueued,
            ev.JobsOffered: self._offered,
            ev.JobsClaimed: self._claimed,
            ev.JobStarted: self._started,
            ev.JobCompleted: self._ended_for_good,
            ev.JobCancelled: self._ended_for_good,
            ev.JobDied: self._died,
            ev.JobRetryScheduled: self._retry_scheduled,
            ev.JobSnoozed: self._snoozed,
            ev.JobReleased: self._released,
            ev.JobRescued: self._rescued,
            ev.CancelRequested: self._cancel_requested,
            ev.JobRetried: self._retried,
            ev.JobDeleted: self._deleted,
            ev.JobProgressed: self._progressed,
            ev.QueuePaused: self._paused,
            ev.QueueResumed: self._resumed,
            ev.ValueSet: self._value_set,
            ev.ValueDeleted: self._value_deleted,
        }

    def apply(self, event: ev.Event) -> None:
        """Make one event true.  Events that change no live state are passed over."""
        applier = self._appliers.get(type(event))
        if applier is not None:
            applier(event)

    # --- one method for each kind of event ---

    def _enqueued(self, event: ev.JobEnqueued) -> None:
        if event.idempotency_key:
            self.requests[event.idempotency_key] = (event.id, event.at + self.idempotency_ttl)
        if event.offered or event.id in self.jobs:
            return
        later = event.run_at > event.at
        job = Job(
            event.id, event.queue, event.task, event.payload, event.priority, event.tenant, event.at, event.run_at,
            event.expires_at, event.max_attempts, event.timeout, event.unique, SCHEDULED if later else AVAILABLE,
        )  # fmt: skip
        self.jobs[event.id] = job
        self.queue(event.queue).counts[job.state] += 1
        job.idempotency_key = event.idempotency_key
        job.needs = event.needs
        if event.unique:
            self.unique[event.queue, event.unique] = event.id
        if not self.replaying:
            self.place(job)

    def _offered(self, event: ev.JobsOffered) -> None:
        """They are Redis' now; here nothing is known of them any more."""
        for id_ in event.ids:
            job = self.jobs.get(id_)
            if job is not None:
                self._take_out(job)
                self.ended.pop(id_, None)

    def _claimed(self, event: ev.JobsClaimed) -> None:
        held = set()
        carried = event.agent.startswith(CARRIER)
        for id_ in event.ids:
            job = self.jobs.get(id_)
            if job is not None and carried and job.state in (AVAILABLE, SCHEDULED, RETRYABLE):
                job = self.lift_out(job)
                if job.state != AVAILABLE:
                    self.move(job, AVAILABLE)
            elif job is not None and job.state in (SCHEDULED, RETRYABLE):  # in a replay: it became due by time alone
                self.make_available(job)
            if job is not None and job.state == AVAILABLE:
                self.move(job, RUNNING)
                job.token = event.token
                job.attempt += 1
                job.started_at = 0.0
                if carried:
                    job.reason = f"carried by {event.agent}"
                held.add(id_)
        self.hold(event.token, event.agent, held)

    def _started(self, event: ev.JobStarted) -> None:
        job = self.jobs.get(event.id)
        if job is not None and job.token == event.token:
            if self.before_change is not None:
                self.before_change(job)
            job.started_at = event.at

    def _held(self, event: ev.AttemptEnded) -> Job | None:
        """The job that this end is about, taken out of its lease; ``None`` if the end is stale."""
        job = self.jobs.get(event.id)
        if self.guests.by_id and (job.token == event.token if job is not None else event.token >= REMOTE_TOKENS):
            self.guests.note(event)
        if job is None or job.token != event.token:
            return None
        if self.before_change is not None:
            self.before_change(job)
        if event.token:
            lease = self.leases.get(event.token)
            if lease is not None:
                lease.ids.discard(job.id)
                if lease.carried:
                    self.queue(job.queue).carried -= 1
                    job.reason = ""
                if not lease.ids:
                    del self.leases[event.token]
            job.token = 0
        job.cancelling = False
        if self.progress:
            self.progress.pop(job.id, None)
        return job

    def _ended_for_good(self, event: ev.AttemptEnded) -> None:
        job = self._held(event)
        if job is None and event.token >= REMOTE_TOKENS:
            self.remember(_ended_elsewhere(event))
        if job is not None:
            waited = job.state == AVAILABLE
            self.move(job, event.state)
            self.forget(job)
            if waited:
                self.queue(job.queue).order.left()
            self.remember(_ended(job, event))

    def _died(self, event: ev.JobDied) -> None:
        known = self.jobs.get(event.id)
        if known is not None and known.state == DEAD:
            return
        job = self._held(event)
        if job is None and event.token >= REMOTE_TOKENS:
            self.remember(_ended_elsewhere(event))
        if job is not None:
            self.move(job, DEAD)
            job.failure = event.failure
            job.reason = event.reason
            if event.reason == ev.POISON:
                job.crashes += 1
            self.free_unique(job)
            self.remember(_ended(job, event))

    def _retry_scheduled(self, event: ev.JobRetryScheduled) -> None:
        job = self._held(event)
        if job is not None:
            self.move(job, RETRYABLE)
            job.failure = event.failure
            self.wait_until(job, event.run_at, self.backing_off, event.at)

    def _snoozed(self, event: ev.JobSnoozed) -> None:
        job = self._held(event)
        if job is not None:
            self.move(job, SCHEDULED)
            job.reason = event.reason
            self._waive(job, event)
            self.wait_until(job, event.run_at, self.scheduled, event.at)

    def _waive(self, job: Job, event: ev.AttemptEnded) -> None:
        """An end that uses up no attempt: one that never started was no attempt at all."""
        if event.started_at:
            job.waived += 1
        else:
            job.attempt -= 1

    def _released(self, event: ev.JobReleased) -> None:
        job = self._held(event)
        if job is not None:
            self._waive(job, event)
            self.make_available(job, front=True)

    def _rescued(self, event: ev.JobRescued) -> None:
        job = self._held(event)
        if job is not None:
            job.waived += 1
            job.rescues += 1
            job.crashes += event.reason == ev.CRASHED
            self.make_available(job, front=True)

    def _cancel_requested(self, event: ev.CancelRequested) -> None:
        job = self.jobs.get(event.id)
        if job is not None:
            if self.before_change is not None:
                self.before_change(job)
            job.cancelling = True

    def _retried(self, event: ev.JobRetried) -> None:
        job = self.jobs.get(event.id)
        if job is None or job.state == RUNNING:
            return
        if self.before_change is not None:
            self.before_change(job)
        if job.state == DEAD:
            self._send_back(job, event)
        elif job.state in (SCHEDULED, RETRYABLE):
            job.run_at = 0.0
            self.make_available(job)

    def _send_back(self, job: Job, event: ev.JobRetried) -> None:
        """A dead job gets ``extra`` more attempts and a clean record of crashes."""
        self.ended.pop(job.id, None)
        job.extra = max(0, job.counted + event.extra - job.max_attempts)
        job.crashes = job.rescues = 0
        job.expires_at = 0.0
        if job.unique:
            self.unique.setdefault((job.queue, job.unique), job.id)
        if event.run_at > event.at:
            self.move(job, SCHEDULED)
            self.wait_until(job, event.run_at, self.scheduled, event.at)
        else:
            job.run_at = 0.0
            self.make_available(job)

    def _deleted(self, event: ev.JobDeleted) -> None:
        self.ended.pop(event.id, None)
        job = self.jobs.get(event.id)
        if job is not None:
            self.guests.note(ev.JobCancelled(event.at, event.id, 0, 0, reason=f"deleted by {event.by}"))
            self._take_out(job)

    def _take_out(self, job: Job) -> None:
        """A job that does not run leaves the table without an end."""
        if self.before_change is not None:
            self.before_change(job)
        waited = job.state == AVAILABLE
        self.forget(job)
        job.state = JobState.CANCELLED
        self.progress.pop(job.id, None)
        if waited:
            self.queue(job.queue).order.left()

    def _progressed(self, event: ev.JobProgressed) -> None:
        if event.id in self.jobs:
            self.progress[event.id] = (event.value, event.message)

    def _paused(self, event: ev.QueuePaused) -> None:
        self.queue(event.queue).paused = True

    def _resumed(self, event: ev.QueueResumed) -> None:
        self.queue(event.queue).paused = False

    def _value_set(self, event: ev.ValueSet) -> None:
        self.values[event.key] = Value(event.value, event.expires_at)
        if event.key.startswith(GUESTS):
            self.guests.admit(event.key, event.value)

    def _value_deleted(self, event: ev.ValueDeleted) -> None:
        self.values.pop(event.key, None)
        if event.key.startswith(GUESTS):
            self.guests.dismiss(event.key)


def _ended_elsewhere(event: ev.AttemptEnded) -> Ended:
    """The end of a job that Redis leased to this node: who waits for it here learns of it also while cut off."""
    return Ended(
        event.id, event.queue, "", event.state, "", event.started_at, event.at, event.started_at, event.attempt,
        result=event.result, failure=event.failure, reason=event.reason,
    )  # fmt: skip


def _ended(job: Job, event: ev.AttemptEnded) -> Ended:
    return Ended(
        job.id, job.queue, job.task, event.state, job.tenant, job.created_at, event.at, event.started_at, job.attempt,
        job.crashes, job.max_attempts, job.priority, event.result, event.failure, event.reason,
    )  # fmt: skip
