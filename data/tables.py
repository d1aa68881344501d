"""The tables of history, as SQLModel classes: one place for names and types, from which queries are built and against
which migrations are checked.

``jobs.n`` numbers jobs in the order in which they were recorded; everything else of a job hangs on it, and as SQLite's
row id it makes indexes small.  Lists walk ``(…, state, created_at)`` indexes, so every common filter is a range of one
of them; the partial indexes cost nothing for jobs that do not fall in them.  Wide columns stand last in a row.
Text is compared byte by byte (collation "C" on PostgreSQL), so that ranges and sorting agree on every database.
"""

from __future__ import annotations

from sqlalchemy import Double, Index, Integer, Text
from sqlmodel import Field

from data.columns import (
    BIG,
    NAME,
    Base,
    column,
    key,
    long,
    metadata,
    partial,
    seconds,
    short,
    table_of,
    whole,
    yes_no,
)  # fmt: skip
from data.linktables import conflicts, lanes, link_changes, parked, proofs, streams

__all__ = [
    "agents", "attempts", "audit", "conflicts", "jobs", "lanes", "link_changes", "logs", "marks", "metadata", "minutes",
    "moments", "outputs", "parked", "pauses", "proofs", "streams",
]  # fmt: skip

#: conditions of partial indexes; a query repeats them word for word, or SQLite does not use the index
HAS_TENANT, HAS_KEY, HAS_CORRELATION = "tenant <> ''", "idempotency_key <> ''", "correlation_id <> ''"
IS_DEAD, WAS_RESCUED, IS_DUE_LATER = "state = 'dead'", "rescues > 0", "state IN ('scheduled', 'retryable')"


class Job(Base, table=True):
    """A job as it stands."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("jobs_id", "id", unique=True),
        Index("jobs_state", "state", "created_at"),
        Index("jobs_queue", "queue", "state", "created_at"),
        Index("jobs_task", "task", "state", "created_at"),
        partial("jobs_tenant", HAS_TENANT, "tenant", "state", "created_at"),
        partial("jobs_key", HAS_KEY, "idempotency_key"),
        partial("jobs_correlation", HAS_CORRELATION, "correlation_id"),
        partial("jobs_dead", IS_DEAD, "fingerprint", "ended_at", "tenant", "task", "queue"),
        partial("jobs_rescued", WAS_RESCUED, "created_at"),
        partial("jobs_due", IS_DUE_LATER, "run_at"),
    )
    n: int = Field(default=None, sa_type=BIG, primary_key=True, sa_column_kwargs={"autoincrement": False})
    id: str = short()
    queue: str = short()
    task: str = short()
    tenant: str = short()
    state: str = short()
    priority: int = whole(5)
    created_at: float = seconds()
    available_at: float = seconds()
    run_at: float = seconds()
    expires_at: float = seconds()
    started_at: float = seconds()
    ended_at: float = seconds()
    timeout: float = seconds()
    attempt: int = whole()
    max_attempts: int = whole(1)
    rescues: int = whole()
    token: int = column(BIG, 0)
    #: of the event that the state is of, see ``data.ranks``
    rank: int = column(BIG, 0)
    cancelling: bool = yes_no()
    masked: bool = yes_no()
    agent: str = short()
    worker: str = short()
    idempotency_key: str = short()
    unique_key: str = short()
    #: capabilities that its agent must have, with commas between
    needs: str = short()
    #: when it was first to start, 0 for at once
    due_at: float = seconds()
    correlation_id: str = short()
    error_type: str = short()
    fingerprint: str = short()
    progress: float | None = column(Double, None, nullable=True)
    progress_message: str = long()
    reason: str = long()
    note: str = long()
    error_message: str = long()
    args: str = long("{}")
    metadata_: str = Field(default="{}", sa_type=Text, nullable=False, sa_column_kwargs={"name": "metadata"})
    result: str | None = long(None)


class Attempt(Base, table=True):
    """One execution; the fencing token of its claim tells it from all others of the job."""

    __tablename__ = "attempts"
    __table_args__ = ({"sqlite_with_rowid": False},)
    job: int = key(BIG)
    token: int = key(BIG)
    number: int = whole()
    state: str = short()
    agent: str = short()
    worker: str = short()
    available_at: float = seconds()
    started_at: float = seconds()
    ended_at: float = seconds()
    run_at: float = seconds()
    cpu: float = seconds(-1.0)
    memory: int = column(BIG, 0)
    reason: str = long()
    error_type: str = short()
    fingerprint: str = short()
    error_message: str = long()
    traceback: str = long()


class Log(Base, table=True):
    """A line written by a task; bounded per job."""

    __tablename__ = "logs"
    __table_args__ = (Index("logs_job", "job"),)
    n: int = Field(default=None, sa_type=BIG, primary_key=True)
    job: int = column(BIG, 0)
    attempt: int = whole()
    at: float = seconds()
    level: str = short()
    text: str = long()


class Output(Base, table=True):
    """An intermediate output; the last of each name."""

    __tablename__ = "outputs"
    __table_args__ = ({"sqlite_with_rowid": False},)
    job: int = key(BIG)
    name: str = key(NAME)
    attempt: int = whole()
    at: float = seconds()
    value: str = long("null")


class Moment(Base, table=True):
    """What people did to a job: asked it to stop, sent it back, cancelled it."""

    __tablename__ = "moments"
    __table_args__ = (Index("moments_job", "job"),)
    n: int = Field(default=None, sa_type=BIG, primary_key=True)
    job: int = column(BIG, 0)
    at: float = seconds()
    kind: str = short()
    text: str = long()
    #: attempts that it gave to a job which was sent back
    extra: int = whole()


class Minute(Base, table=True):
    """What happened in a minute; ``runs`` and ``waits`` are histograms (``data.histogram``) as JSON."""

    __tablename__ = "minutes"
    __table_args__ = (
        partial("minutes_tenant_queue", HAS_TENANT, "tenant", "queue"),
        partial("minutes_tenant_task", HAS_TENANT, "tenant", "task"),
        {"sqlite_with_rowid": False},
    )
    #: minutes since the epoch
    minute: int = key(Integer)
    queue: str = key(NAME)
    task: str = key(NAME)
    tenant: str = key(NAME)
    #: enqueued | completed | retried | dead | cancelled | snoozed | released | rescued
    outcome: str = key(NAME)
    n: int = whole()
    run_seconds: float = seconds()
    wait_seconds: float = seconds()
    runs: str = long("{}")
    waits: str = long("{}")


class Agent(Base, table=True):
    """An engine process."""

    __tablename__ = "agents"
    agent: str = key(NAME)
    host: str = short()
    pid: int = column(BIG, 0)
    version: str = short()
    first_at: float = seconds()
    #: it runs, as far as is known, if it started after it stopped
    started_at: float = seconds()
    seen_at: float = seconds()
    stopped_at: float = seconds()
    #: attempts that ended so in its hands
    completed: int = column(BIG, 0)
    failed: int = column(BIG, 0)
    reason: str = long()
    info: str = long("{}")


class Pause(Base, table=True):
    """The last pause or resume of a queue."""

    __tablename__ = "pauses"
    queue: str = key(NAME)
    paused: bool = yes_no()
    at: float = seconds()
    by: str = short()


class Mark(Base, table=True):
    """How far the journal of a node is in history; written in the transaction of what was recorded."""

    __tablename__ = "marks"
    #: the node; or who wrote, for a log that names none
    name: str = key(NAME)
    #: of the last segment, and the number of the last event in it
    position: int = column(BIG, 0)
    number: int = column(BIG, 0)
    #: wall time of the last event recorded
    at: float = seconds()


class Audit(Base, table=True):
    """Who did what; append-only, each row's hash covers the one before."""

    __tablename__ = "audit"
    n: int = Field(default=None, sa_type=BIG, primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: float = seconds()
    actor: str = short()
    action: str = short()
    target: str = short()
    tenant: str = short()
    outcome: str = short()
    detail: str = long()
    hash: str = short()


jobs, attempts, logs, outputs, moments = (
    table_of(Job),
    table_of(Attempt),
    table_of(Log),
    table_of(Output),
    table_of(Moment),
)
minutes, agents, pauses, marks, audit = (
    table_of(Minute),
    table_of(Agent),
    table_of(Pause),
    table_of(Mark),
    table_of(Audit),
)
