"""Laying what the engine knows over what history says.  Pure functions over records.

The live view is read after history, so it is never older; where there is one, it decides about state, times, progress and
error.  History alone knows attempts, logs, outputs and the arguments of a job that has ended.
"""

from __future__ import annotations

from typing import Any

import msgspec

from console.records import Attempt, Error, Job, LogLine, Progress, Waiting
from data.masking import mask_text, mask_value
from data.rows import AttemptRow, FailureRow, JobDetail, JobRow
from engine import RunningJob
from engine.kernel.errors import PayloadUnreadable
from engine.kernel.job import Failure, JobState, JobView, priority_name
from engine.queue.codec import decode

#: what is noted of a job that has ended and that history does not have yet: what was asked for is not known
UNRECORDED = "its arguments are not in the history yet"
#: final state -> state of the attempt that led to it
_LAST = {"completed": "completed", "cancelled": "cancelled", "dead": "dead", "retryable": "failed"}


def line(row: JobRow, view: JobView | None = None) -> Job:
    """A job in a list."""
    found = _of_row(row)
    return _moved(found, view) if view else found


def from_history(detail: JobDetail) -> Job:
    """A job that only history knows."""
    return msgspec.structs.replace(
        _of_row(detail.row),
        args=_object(detail.args),
        metadata=_object(detail.metadata),
        result=msgspec.json.decode(detail.result) if detail.result is not None else None,
        error=_error(detail.error),
        expires_at=detail.expires_at,
        attempts=tuple(_attempt(attempt) for attempt in detail.attempts),
        logs=tuple(LogLine(log.at, log.level, log.text, log.attempt) for log in detail.logs),
        outputs={output.name: msgspec.json.decode(output.value) for output in detail.outputs},
        timeline=detail.timeline,
        note=detail.note,
    )


def laid_over(detail: JobDetail | None, view: JobView, present: RunningJob | None = None) -> Job:
    """A job that the engine still knows, with whatever history adds; ``present`` is its attempt if it runs here now."""
    found = from_history(detail) if detail else _of_view(view)
    if present is not None and view.state == JobState.RUNNING and not view.started_at:
        view = msgspec.structs.replace(view, started_at=present.started_at)
    return _with_present_attempt(_moved(found, view), view, present)


def explained(job: Job, why: Any) -> Job:
    """The job with why it waits, as the engine explains it."""
    waiting = Waiting(why.reason, why.text, why.mend) if why is not None else None
    return msgspec.structs.replace(job, why_waiting=waiting)


def _of_row(row: JobRow) -> Job:
    return Job(
        id=row.id, task=row.task, queue=row.queue, state=row.state, priority=priority_name(row.priority),
        tenant=row.tenant, correlation_id=row.correlation_id, idempotency_key=plain_key(row.idempotency_key, row.tenant),
        created_at=row.created_at, run_at=row.run_at, started_at=row.started_at, finished_at=row.finished_at,
        progress=Progress(row.progress, row.progress_message) if row.progress is not None else None,
        error=Error(row.error_type, row.error_message, "", row.fingerprint) if row.error_type else None,
        attempt=row.attempt, max_attempts=row.max_attempts, timeout=row.timeout, agent=row.agent, worker=row.worker,
        reason=row.reason, masked=row.masked, rescues=row.rescues,
    )  # fmt: skip


def _of_view(view: JobView) -> Job:
    args, metadata, correlation_id, note = _opened(view.payload)
    shown = mask_value(args)
    return Job(
        id=view.id, task=view.task, queue=view.queue, state=view.state.value, priority=priority_name(view.priority),
        tenant=view.tenant, args=shown, metadata=mask_value(metadata), correlation_id=correlation_id,
        idempotency_key=plain_key(view.idempotency_key, view.tenant), created_at=view.created_at, attempt=view.attempt,
        max_attempts=view.max_attempts, timeout=view.timeout, expires_at=view.expires_at, masked=shown != args, note=note,
    )  # fmt: skip


def plain_key(key: str, tenant: str) -> str:
    """An idempotency key as its sender wrote it; the engine keeps it with the tenant before it."""
    return key.removeprefix(f"{tenant}/")


def _opened(payload: bytes) -> tuple[dict[str, Any], dict[str, Any], str, str]:
    """Arguments, metadata, correlation id, and what could not be read."""
    if not payload:
        return {}, {}, "", UNRECORDED
    try:
        envelope = decode(payload)
    except PayloadUnreadable as error:
        return {}, {}, "", str(error)
    return envelope.args, envelope.metadata, envelope.correlation_id, ""


def _moved(job: Job, view: JobView) -> Job:
    """The job in the state that the engine has it in."""
    ended = view.state in (JobState.COMPLETED, JobState.CANCELLED, JobState.DEAD)
    progress = Progress(view.progress, mask_text(view.progress_message)) if view.progress is not None else job.progress
    return msgspec.structs.replace(
        job,
        state=view.state.value,
        run_at=view.run_at or job.run_at,
        started_at=view.started_at or job.started_at,
        finished_at=view.finished_at or (job.finished_at if ended else 0.0),
        max_attempts=view.max_attempts,
        cancelling=view.cancelling,
        progress=progress,
        reason=view.reason or job.reason,
        result=mask_value(msgspec.json.decode(view.result)) if view.result is not None else job.result,
        error=None if view.state == JobState.COMPLETED else _failure(view.failure) or job.error,
    )


def _with_present_attempt(job: Job, view: JobView, present: RunningJob | None) -> Job:
    """The attempts, with the one that history has not yet seen begin or end."""
    attempts = list(job.attempts)
    last = attempts[-1] if attempts else None
    is_new = view.started_at > 0 and (last is None or (last.ended_at > 0 and view.started_at > last.started_at))
    if is_new:
        number = (last.number if last else 0) + 1
        worker = present.worker if present else ""
        attempts.append(Attempt(number, "running", worker.partition("/")[0], worker, started_at=view.started_at))
    if attempts and attempts[-1].state == "running" and view.state != JobState.RUNNING:
        attempts[-1] = _closed(attempts[-1], job, view)
    return msgspec.structs.replace(job, attempts=tuple(attempts))


def _closed(attempt: Attempt, job: Job, view: JobView) -> Attempt:
    state = _LAST.get(view.state.value, "released")
    error = job.error if state in ("dead", "failed") else None
    return msgspec.structs.replace(attempt, state=state, ended_at=view.finished_at, error=error)


def _attempt(row: AttemptRow) -> Attempt:
    return Attempt(
        row.number, row.state, row.agent, row.worker, row.available_at, row.started_at, row.ended_at, row.rescued,
        _error(row.error), row.cpu if row.cpu >= 0 else None, row.memory or None, row.reason,
    )  # fmt: skip


def _error(row: FailureRow | None) -> Error | None:
    return Error(row.type, row.message, row.traceback, row.fingerprint) if row else None


def _failure(failure: Failure | None) -> Error | None:
    if failure is None:
        return None
    return Error(failure.type, mask_text(failure.message), mask_text(failure.traceback), failure.fingerprint)


def _object(raw: msgspec.Raw) -> dict[str, Any]:
    value = msgspec.json.decode(raw)
    return value if isinstance(value, dict) else {"": value}
