"""What the queries answer: frozen records, free of any session or connection.

Times are seconds since the epoch (0.0: never, not yet), durations are seconds.  JSON values (arguments, results, outputs)
are ``msgspec.Raw``: checked JSON text that a web layer passes on as it is; ``decoded`` turns one into Python values.
"""

from __future__ import annotations

from typing import Any

import msgspec

NULL = msgspec.Raw(b"null")


def decoded(value: msgspec.Raw) -> Any:
    """The Python value of a JSON field."""
    return msgspec.json.decode(value)


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a list of jobs."""

    id: str
    task: str
    queue: str
    tenant: str
    #: a ``JobState`` by value
    state: str
    #: band 1 (first) to 10 (last)
    priority: int
    created_at: float
    #: wall time before which it must not start
    run_at: float = 0.0
    #: since when it may be claimed; what the wait is counted from
    available_at: float = 0.0
    #: start of the latest attempt
    started_at: float = 0.0
    #: when it reached a final state
    finished_at: float = 0.0
    #: attempts used up so far
    attempt: int = 0
    max_attempts: int = 1
    #: times it was taken back from a holder that died
    rescues: int = 0
    #: seconds one attempt may run, 0 for no limit
    timeout: float = 0.0
    #: who has it or had it last
    agent: str = ""
    worker: str = ""
    idempotency_key: str = ""
    correlation_id: str = ""
    #: of the latest failure, "" once it has completed
    error_type: str = ""
    error_message: str = ""
    fingerprint: str = ""
    progress: float | None = None
    progress_message: str = ""
    #: in words: why snoozed, who cancelled, what killed it
    reason: str = ""
    #: a secret was masked in what is stored of it
    masked: bool = False
    #: someone asked it to stop and it has not ended yet
    cancelling: bool = False

    @property
    def run_seconds(self) -> float:
        """How long the latest attempt ran; 0 until the job has ended."""
        return max(self.finished_at - self.started_at, 0.0) if self.finished_at and self.started_at else 0.0


class FailureRow(msgspec.Struct, frozen=True):
    """Why an attempt failed."""

    type: str
    message: str
    traceback: str = ""
    fingerprint: str = ""


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a job.  Those that use up no attempt (snoozed, released) share their number with the next."""

    number: int
    #: running | completed | failed | dead | snoozed | released | rescued | cancelled
    state: str
    agent: str = ""
    worker: str = ""
    #: when its wait began
    available_at: float = 0.0
    #: 0 if it is not known to have started
    started_at: float = 0.0
    #: 0 while it runs
    ended_at: float = 0.0
    #: CPU seconds, -1 if not measured
    cpu: float = -1.0
    #: bytes of resident memory, 0 if not measured
    memory: int = 0
    #: its holder died and the job was taken back
    rescued: bool = False
    #: when the next one may begin, for failed, snoozed and released ones
    next_at: float = 0.0
    reason: str = ""
    error: FailureRow | None = None


class LogRow(msgspec.Struct, frozen=True):
    """A line that a task wrote."""

    at: float
    level: str
    text: str
    attempt: int


class OutputRow(msgspec.Struct, frozen=True):
    """An intermediate output; the last of each name."""

    name: str
    at: float
    attempt: int
    value: msgspec.Raw


class Moment(msgspec.Struct, frozen=True):
    """Something in the life of a job, for its timeline."""

    at: float
    #: created | available | started | completed | failed | dead | snoozed | released | rescued | cancelled |
    #: cancel_requested | retried
    kind: str
    text: str = ""
    attempt: int = 0


class JobDetail(msgspec.Struct, frozen=True, kw_only=True):
    """All that history knows of one job."""

    row: JobRow
    args: msgspec.Raw
    metadata: msgspec.Raw
    #: ``None`` unless it completed with a value
    result: msgspec.Raw | None
    error: FailureRow | None
    expires_at: float = 0.0
    unique_key: str = ""
    #: capabilities that its agent must have
    needs: tuple[str, ...] = ()
    #: what could not be read of it, "" for nothing
    note: str = ""
    attempts: tuple[AttemptRow, ...] = ()
    logs: tuple[LogRow, ...] = ()
    outputs: tuple[OutputRow, ...] = ()
    timeline: tuple[Moment, ...] = ()


class Page(msgspec.Struct, frozen=True):
    """Some rows of a list and where its neighbours begin; a cursor is opaque text, ``None`` where there is no more."""

    rows: tuple[JobRow, ...]
    next_cursor: str | None = None
    previous_cursor: str | None = None


class Count(msgspec.Struct, frozen=True):
    """How many; ``more`` says that counting stopped at ``n``."""

    n: int
    more: bool = False


class DeadGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Dead jobs with one cause."""

    fingerprint: str
    type: str
    #: of the newest
    message: str
    tasks: tuple[str, ...]
    queues: tuple[str, ...]
    n: int
    first_at: float
    last_at: float
    #: newest first, a few
    sample_ids: tuple[str, ...]


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """What ended in the ``step`` seconds from ``at``."""

    at: float
    completed: int = 0
    #: failed attempts that will be tried again
    retried: int = 0
    #: dead
    failed: int = 0
    cancelled: int = 0
    enqueued: int = 0


class Latency(msgspec.Struct, frozen=True):
    """Seconds; ``None`` where nothing ran.  From log-scale histograms: within 10 %."""

    run_p50: float | None
    run_p95: float | None
    wait_p50: float | None
    wait_p95: float | None
    #: attempts measured
    n: int = 0


class QueueStats(msgspec.Struct, frozen=True, kw_only=True):
    """How a queue has done lately."""

    queue: str
    #: jobs finished (completed, dead, cancelled) per minute since ``since``
    per_minute: float
    failed: int
    run_p95: float | None
    wait_p95: float | None
    #: finished in each of the last 24 minutes, oldest first
    series: tuple[int, ...]


class AgentRow(msgspec.Struct, frozen=True, kw_only=True):
    """An engine process, as history saw it."""

    agent: str
    host: str
    pid: int
    version: str
    #: when history saw it first, and when it was started last
    first_at: float
    started_at: float
    #: its last event
    seen_at: float
    #: 0 while it runs, as far as is known
    stopped_at: float = 0.0
    reason: str = ""
    #: attempts that ended so in its hands
    completed: int = 0
    failed: int = 0
    #: what it said of itself at its start
    node: str = ""
    fleet: str = ""
    name: str = ""
    capabilities: tuple[str, ...] = ()
    info: msgspec.Raw = msgspec.Raw(b"{}")


class Figure(msgspec.Struct, frozen=True):
    """A number of the last hour, the same of the hour before, and one point per two minutes for a sparkline."""

    now: float | None
    before: float | None
    series: tuple[float | None, ...] = ()


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The five figures of the first page (slots and live depth come from the engine)."""

    jobs_per_minute: Figure
    #: share of ended attempts that failed, 0–1
    failure_rate: Figure
    run_p95: Figure
    wait_p95: Figure
    #: seconds that the longest-waiting available job has waited, ``None`` when none waits
    oldest_wait: float | None
    dead: int
    #: history is this far, wall time of the last recorded event
    recorded_at: float


class PauseRow(msgspec.Struct, frozen=True):
    """A queue's last pause or resume."""

    queue: str
    paused: bool
    at: float
    by: str


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """One action of a person or program.  ``hash`` covers all fields and the hash before it."""

    n: int
    at: float
    actor: str
    action: str
    target: str
    detail: str
    tenant: str
    outcome: str
    hash: str
