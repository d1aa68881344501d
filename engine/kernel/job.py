"""What a job is, the states it can be in, and which moves between them exist.

``TRANSITIONS`` is the only place that knows the moves; every store checks against it before it changes a job.  ``Job``
is a store's own live record: only the store changes it, everyone else gets a ``JobView``.
"""

from __future__ import annotations

import enum
import random
import re
import threading
import time
from typing import Any

import msgspec

from engine.kernel.errors import ValidationError


class JobState(enum.StrEnum):
    """Where a job stands."""

    PENDING = "pending"  # waits for other jobs
    SCHEDULED = "scheduled"  # waits for a time
    AVAILABLE = "available"  # may be claimed
    RUNNING = "running"  # claimed under a lease
    COMPLETED = "completed"
    RETRYABLE = "retryable"  # failed, waits for its next attempt
    CANCELLED = "cancelled"
    DEAD = "dead"  # attempts exhausted, kept until someone decides


_S = JobState
#: state -> the states that may follow it
TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    _S.PENDING: frozenset({_S.SCHEDULED, _S.AVAILABLE, _S.CANCELLED, _S.DEAD}),
    _S.SCHEDULED: frozenset({_S.AVAILABLE, _S.CANCELLED, _S.DEAD}),
    _S.AVAILABLE: frozenset({_S.RUNNING, _S.CANCELLED, _S.DEAD}),
    _S.RUNNING: frozenset({_S.COMPLETED, _S.RETRYABLE, _S.SCHEDULED, _S.AVAILABLE, _S.CANCELLED, _S.DEAD}),
    _S.RETRYABLE: frozenset({_S.AVAILABLE, _S.CANCELLED, _S.DEAD}),
    _S.COMPLETED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.DEAD: frozenset({_S.AVAILABLE, _S.SCHEDULED}),
}

TERMINAL = frozenset({_S.COMPLETED, _S.CANCELLED, _S.DEAD})
WAITING = frozenset({_S.PENDING, _S.SCHEDULED, _S.AVAILABLE, _S.RETRYABLE})


def may_move(old: JobState, new: JobState) -> bool:
    """Whether the transition table has the move."""
    return new in TRANSITIONS[old]


#: names of priorities -> band, 1 (first) to 10 (last)
PRIORITIES = {"critical": 1, "high": 3, "normal": 5, "low": 8}
NORMAL = PRIORITIES["normal"]


def band_of(priority: str | int | None) -> int:
    """The band 1–10 of a priority given by name or number; ``ValidationError`` on anything else."""
    if priority is None:
        return NORMAL
    if isinstance(priority, str) and priority in PRIORITIES:
        return PRIORITIES[priority]
    if isinstance(priority, int) and not isinstance(priority, bool) and 1 <= priority <= 10:
        return priority
    raise ValidationError(
        f"priority: expected one of {', '.join(PRIORITIES)} or a number from 1 (first) to 10 (last), got {priority!r:.40}",
        "priority",
    )


def priority_name(band: int) -> str | int:
    """The name of a band where it has one, else the number."""
    return next((name for name, value in PRIORITIES.items() if value == band), band)


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,99}\Z")


def check_name(value: object, field: str) -> str:
    """``value`` if it is a good name for a queue, task or tenant; else ``ValidationError`` naming ``field``."""
    if isinstance(value, str) and _NAME.match(value):
        return value
    raise ValidationError(
        f"{field}: expected 1–100 letters, digits, dots, dashes or underscores, got {value!r:.60}", field
    )


class Failure(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Why an attempt failed."""

    #: class name, as in ``ValueError``
    type: str
    #: text of the exception, cut to 2,000 characters
    message: str
    #: formatted traceback, cut to 16,000 characters
    traceback: str = ""
    #: groups equal causes: hash of the type and the innermost frames, free of numbers
    fingerprint: str = ""


class Job(msgspec.Struct, array_like=True, gc=False):
    """A live job inside a store.  ``run_at``, ``expires_at`` and ``timeout`` are 0 when there is none.

    Stores write these records into their checkpoints: fields are only added at the end, with a default.
    """

    id: str
    queue: str
    task: str
    #: the codec's envelope: arguments and metadata
    payload: bytes
    priority: int
    tenant: str
    created_at: float
    #: wall time before which it must not start
    run_at: float
    #: wall time after which it is not started any more
    expires_at: float
    max_attempts: int
    #: seconds one attempt may run
    timeout: float
    #: unique key that this job holds, scoped by queue; "" for none
    unique: str
    state: JobState
    #: attempts begun so far, numbered from 1
    attempt: int = 0
    #: times its worker died under it
    crashes: int = 0
    #: times it was taken back from a dead holder, whether it had started or not
    rescues: int = 0
    #: fencing token of the claim that holds it; 0 for none
    token: int = 0
    #: someone asked a running job to stop
    cancelling: bool = False
    failure: Failure | None = None
    #: attempts that do not count against ``max_attempts``: snoozed, released, rescued
    waived: int = 0
    #: attempts allowed beyond ``max_attempts`` because someone sent the job back by hand
    extra: int = 0
    #: wall time at which the present attempt is known to have started
    started_at: float = 0.0
    #: why it waits, in words, where the store was told (a snooze's reason)
    reason: str = ""
    #: names the request, see ``JobEnqueued.idempotency_key``
    idempotency_key: str = ""
    #: see ``JobEnqueued.needs``
    needs: str = ""

    @property
    def counted(self) -> int:
        """The number of the present attempt among those that count against ``max_attempts``."""
        return self.attempt - self.waived


class JobView(msgspec.Struct, frozen=True, gc=False):
    """What a store tells about a live or lately ended job."""

    id: str
    queue: str
    task: str
    state: JobState
    priority: int
    tenant: str
    created_at: float
    run_at: float
    expires_at: float
    max_attempts: int
    timeout: float
    attempt: int
    crashes: int
    payload: bytes
    cancelling: bool = False
    started_at: float = 0.0
    finished_at: float = 0.0
    result: bytes | None = None
    failure: Failure | None = None
    progress: float | None = None
    progress_message: str = ""
    reason: str = ""
    idempotency_key: str = ""
    needs: str = ""


Metadata = dict[str, Any]

_random = random.SystemRandom().getrandbits
_fast = random.Random(_random(128)).getrandbits
_last = [0, 0]
_lock = threading.Lock()


def new_id() -> str:
    """A fresh job id: UUIDv7 (RFC 9562), so that ids sort by the time they were made, also within a millisecond."""
    with _lock:
        milliseconds = max(time.time_ns() // 1_000_000, _last[0])
        count = _last[1] + 1 if milliseconds == _last[0] else 0
        if count > 0xFFF:
            milliseconds, count = milliseconds + 1, 0
        _last[0], _last[1] = milliseconds, count
        tail = _fast(62)
    high, low = milliseconds >> 16, milliseconds & 0xFFFF
    return f"{high:08x}-{low:04x}-7{count:03x}-{0x8000 | (tail >> 48):04x}-{tail & 0xFFFFFFFFFFFF:012x}"
