"""What a fold is made of besides jobs: queues, leases, lately ended jobs, values."""

from __future__ import annotations

import math

import msgspec

from engine.kernel.job import Failure, JobState
from engine.storage.base import QueueLimits
from engine.storage.order import ReadyOrder


class Ended(msgspec.Struct, array_like=True, gc=False):
    """A job that ended and is remembered for a while, for its result and against doubles."""

    id: str
    queue: str
    task: str
    state: JobState
    tenant: str
    created_at: float
    finished_at: float
    started_at: float = 0.0
    attempt: int = 0
    crashes: int = 0
    max_attempts: int = 1
    priority: int = 5
    result: bytes | None = None
    failure: Failure | None = None
    reason: str = ""


class Value(msgspec.Struct, array_like=True, gc=False):
    """A key-value entry; ``expires_at`` 0 for never."""

    value: bytes
    expires_at: float = 0.0


#: agents whose name begins so carry jobs to another site; see ``carrying``
CARRIER = "bundle:"


class Lease:
    """Jobs held by one agent until ``deadline`` (monotonic); one that carries them away has none."""

    __slots__ = ("agent", "alone", "carried", "deadline", "ids")

    def __init__(self, agent: str, deadline: float, ids: set[str]) -> None:
        self.agent = agent
        self.carried = agent.startswith(CARRIER)
        self.deadline = math.inf if self.carried else deadline
        self.ids = ids
        self.alone = len(ids) == 1


class QueueFold:
    """What is known of one queue."""

    __slots__ = ("bucket", "bucket_at", "carried", "counts", "limits", "name", "order", "paused")

    def __init__(self, name: str) -> None:
        self.name = name
        self.order = ReadyOrder()
        self.counts: dict[JobState, int] = dict.fromkeys(JobState, 0)
        self.paused = False
        #: running jobs that another site runs; they take no slot here
        self.carried = 0
        self.limits = QueueLimits()
        #: tokens left in the rate limit's bucket, and the monotonic time at which that was true
        self.bucket = 0.0
        self.bucket_at = 0.0
