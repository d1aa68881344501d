"""What became of a job, between the forms in which it is known: events of its attempts, a store's view, a hash."""

from __future__ import annotations

from collections.abc import Iterable

from engine.kernel import events as ev
from engine.kernel.job import TERMINAL, Job, JobState, JobView
from engine.storage.redis.conflicts import BODY_LIMIT, hash_of, outcome

Ended = ev.JobCompleted | ev.JobCancelled | ev.JobDied

_ENDS: dict[JobState, type[Ended]] = {
    JobState.COMPLETED: ev.JobCompleted,
    JobState.CANCELLED: ev.JobCancelled,
    JobState.DEAD: ev.JobDied,
}


def request_of(job: Job) -> ev.JobEnqueued:
    """The request that makes the same job elsewhere, with the attempts that it has left."""
    used = max(0, job.counted - 1)
    return ev.JobEnqueued(
        job.created_at, job.id, job.queue, job.task, job.payload, job.priority, job.tenant, job.run_at, job.expires_at,
        max(1, job.max_attempts + job.extra - used), job.timeout, job.idempotency_key, job.unique, job.needs,
    )  # fmt: skip


def end_of(view: JobView) -> Ended | None:
    """The outcome of a job that ended, as far as a store's view tells it."""
    kind = _ENDS.get(view.state)
    if kind is None:
        return None
    ran = max(0.0, view.finished_at - view.started_at) if view.started_at else 0.0
    return kind(
        view.finished_at, view.id, 0, view.attempt, "", view.started_at, ran, result=view.result, failure=view.failure,
        reason=view.reason, queue=view.queue,
    )  # fmt: skip


def told(ends: Iterable[ev.AnyEvent]) -> tuple[ev.AnyEvent, ...]:
    """What is told of a job's attempts: those that ran and failed or were put off, and the outcome."""
    known = [end for end in ends if isinstance(end, ev.AttemptEnded)]
    before = [end for end in known[:-1] if end.state not in TERMINAL and end.started_at]
    return (*before, *known[-1:])


def is_told_well(ends: Iterable[ev.AnyEvent]) -> bool:
    """Whether events tell of a job as ``told`` does: ends of attempts, the last of them an outcome."""
    known = list(ends)
    states = [end.state for end in known if isinstance(end, ev.AttemptEnded)]
    return len(states) == len(known) > 0 and [state in TERMINAL for state in states] == [False] * (len(states) - 1) + [
        True
    ]


def late(id_: str, at: float, node: str, later: ev.AttemptEnded, kind: str, first: str = "") -> ev.ConflictFound:
    """An outcome that came when its job was no more away; ``first`` is the hash of what stands."""
    return ev.ConflictFound(
        at, id_, later.id, later.queue, kind, node, first, hash_of(later), outcome(later)[:BODY_LIMIT]
    )
