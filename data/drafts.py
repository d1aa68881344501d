"""What a batch of events is folded into before it is written: the rows of history, still in memory.

The fields of ``Draft`` and ``Ended`` are columns of ``jobs`` and ``attempts`` in the order in which the recorder's
statements (``data.statements``) name them; a test holds both against the tables.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from engine.kernel.events import Event


class Draft(msgspec.Struct, gc=False):
    """A row of ``jobs``."""

    n: int
    id: str
    queue: str
    task: str
    tenant: str
    created_at: float
    #: when it was first to start, 0 for at once
    due_at: float
    state: str
    available_at: float
    run_at: float
    max_attempts: int
    started_at: float = 0.0
    ended_at: float = 0.0
    attempt: int = 0
    rescues: int = 0
    token: int = 0
    #: of the event that the state is of, see ``data.ranks``
    rank: int = 0
    cancelling: bool = False
    masked: bool = False
    agent: str = ""
    worker: str = ""
    error_type: str = ""
    fingerprint: str = ""
    progress: float | None = None
    progress_message: str = ""
    reason: str = ""
    error_message: str = ""
    #: from here on what is not read again, see ``data.statements.LOADED``
    priority: int = 0
    expires_at: float = 0.0
    timeout: float = 0.0
    idempotency_key: str = ""
    unique_key: str = ""
    needs: str = ""
    correlation_id: str = ""
    note: str = ""
    args: str = "{}"
    metadata: str = "{}"
    result: str | None = None


class AttemptDraft(msgspec.Struct, gc=False):
    """A row of ``attempts``."""

    job: int
    token: int
    number: int
    state: str
    agent: str
    worker: str
    available_at: float
    started_at: float
    ended_at: float = 0.0
    run_at: float = 0.0
    cpu: float = -1.0
    memory: int = 0
    reason: str = ""
    error_type: str = ""
    fingerprint: str = ""
    error_message: str = ""
    traceback: str = ""


class MinuteDraft(msgspec.Struct, gc=False):
    """What a batch adds to a row of ``minutes``."""

    n: int = 0
    run_seconds: float = 0.0
    wait_seconds: float = 0.0
    runs: dict[int, int] = {}
    waits: dict[int, int] = {}


#: (minute, queue, task, tenant, outcome)
MinuteKey = tuple[int, str, str, str, str]


class AgentDraft(msgspec.Struct, gc=False):
    """A row of ``agents``; what a batch does not know is "" or 0 and leaves the row's own value.  Jobs are added up."""

    agent: str
    host: str = ""
    pid: int = 0
    version: str = ""
    first_at: float = 0.0
    started_at: float = 0.0
    seen_at: float = 0.0
    stopped_at: float = 0.0
    completed: int = 0
    failed: int = 0
    reason: str = ""
    info: str = ""


class ConflictDraft(msgspec.Struct, gc=False):
    """A row of ``conflicts``, except how it was decided."""

    id: str
    at: float
    job: str
    queue: str
    kind: str
    node: str
    first: str
    later: str
    body: str
    whole: bool


class Late(NamedTuple):
    """An event that is out of date for the state of its job, not for the attempts."""

    rank: int
    event: Event
    direct: bool


class Parked(NamedTuple):
    """An event that came before the job that it is about; ``stale`` if Redis has it too late."""

    id: str
    direct: bool
    stale: bool
    event: Event
