"""What becomes of a job when an attempt at it is over: from its outcome to the event that ends it.

The rule is ``engine.queue.retry.decide``, which is pure; here it gets what it needs, and its answer becomes an event.
Nothing is written here.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.kernel import events as ev
from engine.kernel.clock import Clock
from engine.kernel.errors import Discard, PayloadUnreadable, ValidationError
from engine.kernel.job import Failure, Job, JobState
from engine.queue import codec
from engine.queue.failures import failure_of
from engine.queue.policy import QueuePolicy
from engine.queue.retry import COMPLETE, Decision, Outcome, Retry, decide
from engine.storage.base import CRASH_CAP
from engine.workers.processes import ChildDied, ProcessBody, RemoteFailure

if TYPE_CHECKING:
    from engine.workers.attempt import Attempt

#: seconds until a job whose task is not registered here is looked at again
NO_TASK_DELAY = 10.0
#: how the reason of such a job begins
NO_TASK = "no such task"

_END: dict[JobState, type[ev.AttemptEnded]] = {
    JobState.COMPLETED: ev.JobCompleted,
    JobState.RETRYABLE: ev.JobRetryScheduled,
    JobState.SCHEDULED: ev.JobSnoozed,
    JobState.CANCELLED: ev.JobCancelled,
    JobState.DEAD: ev.JobDied,
}
#: states after which a job would run again
_AGAIN = frozenset({JobState.RETRYABLE, JobState.SCHEDULED})
#: what becomes of a job that somebody asked to stop, where it would run again
_UNWANTED = Decision(JobState.CANCELLED, reason=ev.UNWANTED)
#: states that are no failure of the task
_NO_FAILURE = frozenset({JobState.COMPLETED, JobState.SCHEDULED, JobState.CANCELLED})


class Endings:
    """Makes the events that end attempts; shared by all workers of a process."""

    def __init__(self, policies: Mapping[str, QueuePolicy], clock: Clock) -> None:
        self._policies = policies
        self._clock = clock
        self._rng = random.Random()
        #: bytes of memory this process held when last looked
        self.memory = 0

    def of(self, attempt: Attempt, duration: float, cpu: float) -> ev.AttemptEnded:
        """The end of an attempt that ran for ``duration`` seconds and used ``cpu`` seconds of them."""
        if not attempt.finished:
            return self.released(attempt)
        if isinstance(attempt.error, ChildDied):
            return self._crashed(attempt, duration, str(attempt.error))
        body, result, error, memory = attempt.body, None, attempt.error, self.memory
        if isinstance(body, ProcessBody):
            memory = 0
            if body.done is not None:
                cpu, memory, result = body.done.cpu, body.done.memory, None if error else body.done.result
        elif attempt.value is not None and error is None:
            result, error = self._encoded(attempt.value)
        decision = COMPLETE if error is None else self._decide(attempt, error)
        if attempt.job.cancelling and decision.state in _AGAIN:
            decision = _UNWANTED
        failure = None if error is None or decision.state in _NO_FAILURE else _failure(error, attempt.job.task)
        return _END[decision.state](
            self._clock.now(), attempt.job.id, attempt.token, attempt.number, attempt.worker, attempt.started_at,
            duration, cpu, memory, result, failure, decision.run_at, decision.reason,
            attempt.job.queue,
        )  # fmt: skip

    def _encoded(self, value: Any) -> tuple[bytes | None, BaseException | None]:
        """A result as JSON, or the error that stands in its place."""
        try:
            return codec.encode_value(value), None
        except ValidationError as error:
            return None, Discard(str(error))
        except Exception as error:  # a value's own code that turns it into plain data may raise anything
            return None, Discard(f"result: cannot be sent as JSON: {type(error).__name__}: {error}")

    def _decide(self, attempt: Attempt, error: BaseException) -> Decision:
        job = attempt.job
        if isinstance(error, RemoteFailure):
            outcome = error.outcome
        elif isinstance(error, PayloadUnreadable):
            outcome = Outcome("discard", reason=str(error))
        else:
            outcome = Outcome.of(error)
        most = job.max_attempts + job.extra
        return decide(outcome, self._backoff(attempt), max(1, job.counted), most, self._clock.now(), self._rng)

    def _backoff(self, attempt: Attempt) -> Retry:
        """The task's own backoff, else the queue's, else the default."""
        policy = self._policies.get(attempt.job.queue)
        if policy is not None and policy.retry is not None and "backoff" not in attempt.spec.given:
            return policy.retry
        return attempt.spec.backoff

    def released(self, attempt: Attempt) -> ev.AttemptEnded:
        """The end of an attempt that is handed back unfinished, or given up if somebody asked it to stop."""
        now = self._clock.now()
        unwanted = attempt.job.cancelling
        return (ev.JobCancelled if unwanted else ev.JobReleased)(
            now, attempt.job.id, attempt.token, attempt.number, attempt.worker, attempt.started_at,
            max(0.0, now - attempt.started_at), reason=ev.UNWANTED if unwanted else "the engine stopped",
            queue=attempt.job.queue,
        )  # fmt: skip

    def unbegun(self, job: Job, token: int) -> ev.AttemptEnded:
        """The end of a claim whose job no worker has begun: it goes back, or is given up if somebody asked it to stop."""
        now = self._clock.now()
        if job.cancelling:
            return ev.JobCancelled(now, job.id, token, job.attempt, reason=ev.REVOKED, queue=job.queue)
        return ev.JobReleased(now, job.id, token, job.attempt, queue=job.queue)

    def _crashed(self, attempt: Attempt, duration: float, reason: str) -> ev.AttemptEnded:
        if attempt.job.cancelling:
            return self.released(attempt)
        poison = attempt.job.crashes + 1 >= CRASH_CAP
        kind = ev.JobDied if poison else ev.JobRescued
        failure = Failure("ChildDied", reason, "", f"child-died-{attempt.job.task}"[:64])
        return kind(
            self._clock.now(), attempt.job.id, attempt.token, attempt.number, attempt.worker, attempt.started_at,
            duration, -1.0, 0, None, failure, 0.0, ev.POISON if poison else ev.CRASHED,
            attempt.job.queue,
        )  # fmt: skip

    def no_task(self, job: Job, token: int, worker: str) -> ev.AttemptEnded:
        """A job whose task is not registered here waits; that is no attempt."""
        now = self._clock.now()
        return ev.JobSnoozed(
            now, job.id, token, job.attempt, worker, run_at=now + NO_TASK_DELAY, reason=f"{NO_TASK}: {job.task}",
            queue=job.queue,
        )  # fmt: skip


def _failure(error: BaseException, task: str) -> Failure:
    return error.failure if isinstance(error, RemoteFailure) else failure_of(error, task)
