"""The storage contract: what every place that holds jobs must offer.

Small, batch-first protocols over opaque bytes.  Invariants that the conformance suite in ``tests/contract`` checks on
every backend:

- ``put`` returns after the jobs are as durable as the store promises; the same job id, idempotency key or held unique
  key again changes nothing and names the first job.
- ``claim`` moves jobs to ``running`` under a lease with a fencing token; whoever holds another token writes nothing.
- ``finish`` is atomic per job; a stale end is dropped and its id returned.
- Time is the store's; leases are measured with its monotonic clock.

Who implements it: ``engine.storage.memory`` (reference), ``airgap`` (journal).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from engine.kernel.events import AttemptEnded, Event, JobEnqueued
from engine.kernel.job import Job, JobState, JobView

#: seconds that a claim holds its jobs without being renewed
LEASE_SECONDS = 4.0
#: how often a holder renews
RENEW_SECONDS = 1.0
#: a job that killed its worker this often is dead (poison)
CRASH_CAP = 3


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """What became of one job given to ``put``: its own id if ``new``, else the id of the job that was there first."""

    id: str
    new: bool


class Claim(msgspec.Struct, frozen=True):
    """Jobs taken under one lease."""

    token: int
    jobs: list[Job]


class Want(msgspec.Struct, frozen=True):
    """A wish to claim: up to ``most`` jobs, at most ``room[queue]`` of each queue named."""

    room: Mapping[str, int]
    agent: str
    most: int
    #: jobs that need a capability are taken only by who has it
    capabilities: frozenset[str] = frozenset()
    #: tenants whose jobs are taken; ``None`` for those of all
    tenants: frozenset[str] | None = None


class Exchange(msgspec.Struct, frozen=True):
    """What came of an exchange: ids of stale ends, and the jobs claimed."""

    stale: set[str]
    claim: Claim | None


class QueueLimits(msgspec.Struct, frozen=True, omit_defaults=True):
    """How fast a queue may be worked off.  ``None`` is no limit."""

    #: jobs of it that run at the same time, on all agents
    concurrency: int | None = None
    #: (jobs, seconds): token bucket of that size, refilled evenly
    rate: tuple[float, float] | None = None
    #: (tenant, weight): shares of waiting tenants; 1 where not named
    weights: tuple[tuple[str, float], ...] = ()
    #: which queue goes first when slots are scarce, 1 (first) to 10
    priority: int = 5
    #: what keeps its jobs: ``power``, ``process`` or ``redis``; ``None`` as set for all queues
    durability: str | None = None
    #: who takes back the jobs of a node that is cut off: ``deadline`` (anyone) or ``hold`` (the node or an operator)
    reclaim: str = "deadline"
    #: whether a node that is cut off runs the jobs that it accepted meanwhile: ``run`` or ``wait``
    airgap: str = "run"


class QueueStore(Protocol):
    """Holds jobs and moves them."""

    def put(self, jobs: Sequence[JobEnqueued]) -> list[Accepted]:
        """Accept jobs; all or none.  Raises ``StoreFull``."""

    def claim(self, want: Want) -> Claim | None:
        """Take the available jobs that are wanted, best first."""

    def exchange(self, ends: Sequence[AttemptEnded], notes: Sequence[Event], want: Want | None) -> Exchange:
        """``finish`` and ``claim`` in one atomic move, and one commit."""

    def renew(self, tokens: Iterable[int]) -> set[int]:
        """Prolong leases; returns the tokens that hold nothing any more."""

    def finish(self, ends: Sequence[AttemptEnded], notes: Sequence[Event] = ()) -> set[str]:
        """End attempts, and write down ``notes`` (starts, progress, logs) with them; returns ids of stale ends."""

    def promote(self) -> float | None:
        """Make due jobs available, rescue expired leases, expire waiting jobs; returns seconds until the next is due."""

    def cancel(self, ids: Iterable[str], by: str = "") -> dict[str, JobState]:
        """Cancel waiting jobs, ask running ones to stop; answers the state each was found in (unknown ids are left out)."""

    def retry(self, ids: Iterable[str], by: str = "", over: float = 0.0) -> set[str]:
        """Make dead, retryable and scheduled jobs available, spread over ``over`` seconds; returns the ids moved."""

    def delete(self, ids: Iterable[str], by: str = "") -> set[str]:
        """Remove jobs that are not running; returns the ids removed."""

    def get(self, ids: Iterable[str]) -> dict[str, JobView]:
        """Live and lately ended jobs by id; unknown ids are left out."""

    def counts(self) -> dict[str, dict[str, int]]:
        """queue -> state -> jobs, for the live states and ``dead``."""

    def pause(self, queue: str, paused: bool, by: str = "") -> None:
        """Stop or resume claims from a queue; survives restarts."""

    def peek(self, queue: str, limit: int, state: JobState = JobState.AVAILABLE) -> list[JobView]:
        """Waiting jobs of a queue: available ones as they would be claimed, scheduled ones soonest first."""

    def paused(self) -> set[str]:
        """Names of the queues that are paused."""

    def held_by_rate(self, queue: str) -> bool:
        """Whether the queue's rate limit keeps its next job waiting."""

    def record(self, events: Sequence[Event]) -> None:
        """Write events that are no moves of jobs."""

    def configure(self, queue: str, limits: QueueLimits) -> None:
        """Set how fast a queue may be worked off."""

    def wait(self, timeout: float) -> bool:
        """Block until there may be work, or ``timeout`` seconds; whether it was woken."""

    def wake(self) -> None:
        """Let one waiter go, as if there were work."""


class KeyValue(Protocol):
    """Small values beside the jobs: locks, counters, caches."""

    def value(self, key: str) -> bytes | None:
        """The value, unless it is missing or expired."""

    def values(self, prefix: str = "") -> dict[str, bytes]:
        """All values whose key begins with ``prefix``."""

    def set_value(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """Write a value; with ``ttl`` it is gone after so many seconds."""

    def swap(self, key: str, expected: bytes | None, value: bytes | None, ttl: float | None = None) -> bool:
        """Compare-and-set: write ``value`` (``None`` deletes) only if the present value equals ``expected``."""

    def increment(self, key: str, amount: int = 1) -> int:
        """Add to a counter that is kept as decimal text; returns the new value."""

    def drop(self, prefix: str) -> int:
        """Delete all values whose key begins with ``prefix``; returns how many."""


class Stretch(NamedTuple):
    """A segment of a log."""

    number: int
    events: Sequence[Event]
    #: number of its first event in the log, 0 if the log does not number events
    first: int = 0


class EventLog(Protocol):
    """A durable, ordered log of events that can be followed from a mark.  The recorder reads one."""

    @property
    def node(self) -> str:
        """Whose log it is, "" if that is not known."""

    def read(self, after: int, most: int = 64) -> Iterator[Stretch]:
        """Segments of events with numbers above ``after``, in order."""

    def head(self) -> int:
        """Number of the last durable segment."""


class Pending(Protocol):
    """Events on their way to the log."""

    def settle(self) -> None:
        """Block until they are durable, and raise what kept them from it."""


class Log(Protocol):
    """What makes the moves of a fold durable.  ``append`` is called under the fold's lock and never blocks, so that the
    order in the log is the order of the moves; ``then`` runs once the events are durable, in log order."""

    def append(
        self,
        events: Sequence[Event],
        *,
        sync: bool = True,
        reserve: bool = False,
        then: Callable[[], None] | None = None,
        failed: Callable[[BaseException], None] | None = None,
    ) -> Pending:
        """Queue events for the next commit.  ``sync`` asks for the durability of the store, else the operating system's
        is enough; ``reserve`` may use the share kept for outcomes and is retried until it is written; without it a full
        store fails the batch: ``failed`` is told, ``settle`` raises."""


class Store(QueueStore, KeyValue, Protocol):
    """A whole backend."""

    def open(self) -> None:
        """Make ready; rebuilds the state where it is durable.  Raises ``StoreOwned``, ``StoreDamaged``."""

    def close(self) -> None:
        """Write what is pending and let go."""

    def facts(self) -> dict[str, object]:
        """What an operator wants to know: kind, bytes used, limit, oldest entry, quarantined."""
