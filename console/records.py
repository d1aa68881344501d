"""What reading answers: frozen records of jobs and queues, and their JSON form in the public contract.

Times are wall seconds, 0 for never; ``as_json`` writes them as ISO 8601 and what is not there as ``null``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from engine.kernel.clock import iso


class Progress(msgspec.Struct, frozen=True):
    """How far a job says it is."""

    #: 0–1
    value: float
    message: str = ""


class Error(msgspec.Struct, frozen=True):
    """Why an attempt failed."""

    type: str
    message: str
    traceback: str = ""
    fingerprint: str = ""


class Attempt(msgspec.Struct, frozen=True):
    """One execution."""

    number: int
    #: running, completed, failed, rescued, released, snoozed, cancelled or dead
    state: str
    agent: str = ""
    worker: str = ""
    #: since when the job could have been started for this attempt; 0 if not known
    available_at: float = 0.0
    started_at: float = 0.0
    ended_at: float = 0.0
    rescued: bool = False
    error: Error | None = None
    #: CPU seconds, ``None`` if not measured
    cpu: float | None = None
    #: bytes, ``None`` if not measured
    memory: int | None = None
    reason: str = ""


class LogLine(msgspec.Struct, frozen=True):
    """A line that the task wrote."""

    at: float
    level: str
    text: str
    attempt: int = 0


class Waiting(msgspec.Struct, frozen=True):
    """Why a job is not running, and what would mend it."""

    reason: str
    text: str
    mend: str = ""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as people and programs read it."""

    id: str
    task: str
    queue: str
    state: str
    #: critical, high, normal, low or a number
    priority: str | int
    tenant: str = ""
    args: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    correlation_id: str = ""
    idempotency_key: str = ""
    created_at: float = 0.0
    run_at: float = 0.0
    expires_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0
    progress: Progress | None = None
    result: Any = None
    error: Error | None = None
    attempts: tuple[Attempt, ...] = ()
    #: attempts used up so far
    attempt: int = 0
    max_attempts: int = 1
    timeout: float = 0.0
    #: who has it or had it last
    agent: str = ""
    worker: str = ""
    #: someone asked it to stop while it ran
    cancelling: bool = False
    #: in words: why snoozed, who cancelled, what killed it
    reason: str = ""
    why_waiting: Waiting | None = None
    workflow: str | None = None
    logs: tuple[LogLine, ...] = ()
    outputs: dict[str, Any] = {}
    #: what happened to it in order: ``data.rows.Moment``
    timeline: tuple[Any, ...] = ()
    #: a secret of it was masked
    masked: bool = False
    #: it was taken back from a holder that died
    rescues: int = 0
    #: what could not be read of it
    note: str = ""


class Page(msgspec.Struct, frozen=True):
    """A page of jobs (without attempts, arguments, logs and results)."""

    jobs: tuple[Job, ...]
    next_cursor: str | None = None
    previous_cursor: str | None = None


class Queue(msgspec.Struct, frozen=True):
    """A queue and what is in it."""

    name: str
    paused: bool
    concurrency: int | None
    rate_limit: str | None
    priority: int
    #: state -> jobs, live states and dead
    counts: dict[str, int]

    @property
    def waiting(self) -> int:
        """Jobs that could start if somebody took them."""
        return self.counts.get("available", 0)


def line_as_json(job: Job) -> dict[str, Any]:
    """A job in a list."""
    return {
        "id": job.id,
        "task": job.task,
        "queue": job.queue,
        "state": job.state,
        "priority": job.priority,
        "tenant": job.tenant,
        "correlation_id": job.correlation_id or None,
        "idempotency_key": job.idempotency_key or None,
        "created_at": iso(job.created_at),
        "run_at": iso(job.run_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
        "progress": job.progress,
        "error": {"type": job.error.type, "message": job.error.message, "fingerprint": job.error.fingerprint}
        if job.error
        else None,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
    }


def as_json(job: Job) -> dict[str, Any]:
    """A job with everything."""
    return line_as_json(job) | {
        "args": job.args,
        "metadata": job.metadata,
        "expires_at": iso(job.expires_at),
        "result": job.result,
        "error": job.error,
        "attempts": [_attempt(attempt) for attempt in job.attempts],
        "timeout": job.timeout or None,
        "cancelling": job.cancelling,
        "reason": job.reason or None,
        "why_waiting": job.why_waiting,
        "workflow": job.workflow,
        "logs": [
            {"at": iso(line.at), "level": line.level, "text": line.text, "attempt": line.attempt} for line in job.logs
        ],
        "outputs": job.outputs,
        "timeline": [
            {"at": iso(moment.at), "kind": moment.kind, "text": moment.text, "attempt": moment.attempt}
            for moment in job.timeline
        ],
        "masked": job.masked,
    }


def queue_as_json(queue: Queue) -> dict[str, Any]:
    """A queue."""
    return msgspec.to_builtins(queue)  # type: ignore[no-any-return]


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "state": attempt.state,
        "agent": attempt.agent,
        "worker": attempt.worker,
        "started_at": iso(attempt.started_at),
        "ended_at": iso(attempt.ended_at),
        "rescued": attempt.rescued,
        "error": attempt.error,
        "cpu": attempt.cpu,
        "memory": attempt.memory,
        "reason": attempt.reason or None,
    }
