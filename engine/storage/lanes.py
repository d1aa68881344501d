"""What a node's journal and Redis say to each other: lanes, shipments, marks.

Every event of a journal that concerns a queue travels in one of two lanes of that queue: ``ends`` — what became of jobs
that Redis leased to the node — and ``jobs`` — everything about jobs that the node accepted or runs by itself.  In each
lane events keep the numbers they have in the journal.  For each node and lane Redis keeps a *mark*: the number of the
last event applied and the chain up to it, ``chain = sha256(chain before ‖ number as 8 bytes ‖ event as written)``.  A
shipment says which event went before it, so that Redis knows a duplicate, a gap and a log that is not the one it knows.

Marks, not memories, decide what is sent: whoever finds Redis' mark lower than thought goes back to it (rewind).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from engine.kernel import events as ev
from engine.storage.base import Store

#: fencing tokens of Redis are its time in microseconds, those of a journal count up from 1
REMOTE_TOKENS = 1 << 50
#: the chain before the first event of a lane
NO_CHAIN = bytes(32)
ENDS, JOBS = "ends", "jobs"


class Lane(NamedTuple):
    """One of the two streams of events between a node and a queue."""

    queue: str
    #: ``ends`` or ``jobs``
    kind: str


class Mark(msgspec.Struct, frozen=True):
    """How far a lane was applied."""

    number: int = 0
    chain: bytes = NO_CHAIN


class Numbered(NamedTuple):
    """An event with its number in the journal, and its bytes as they were written there."""

    number: int
    event: ev.Event
    raw: bytes


class Shipment(msgspec.Struct, frozen=True):
    """Some events of a lane in a row."""

    lane: Lane
    #: where the lane stood before them
    before: Mark
    #: where it stands after them
    after: Mark
    events: Sequence[Numbered]


class Receipt(msgspec.Struct, frozen=True):
    """What Redis answers to a shipment."""

    #: ``applied``; ``known`` (all of it was applied before); ``gap`` (Redis has less than ``before``); ``chain`` (it has
    #: another history up to ``before``); ``fenced`` (a later incarnation of the node writes this lane)
    status: str
    #: where the lane stands now
    mark: Mark
    #: id of a job that was not taken in because its request was known -> id of the job that was there first
    firsts: Mapping[str, str] = {}
    #: ids of jobs whose end came too late; each is also among the conflicts
    stale: frozenset[str] = frozenset()
    conflicts: Sequence[ev.ConflictFound] = ()


class Pulse(msgspec.Struct, frozen=True):
    """What a probe brings back."""

    #: names the history of this Redis: made at its first use, another one after a flush
    history: str
    #: probes that this Redis counted for the node; fewer than expected means that it went back in time
    beat: int
    #: wall time of Redis
    at: float


class Remote(Store, Protocol):
    """Redis as a node with a journal uses it, beyond the storage contract.

    Whatever keeps a call from being answered is raised as ``Unreachable``; the call may have been carried out or not.
    """

    def enlist(self, node: str) -> int:
        """Begin an epoch of the node; it is higher than all before."""

    def marks(self, node: str, epoch: int, queues: Iterable[str]) -> dict[Lane, Mark]:
        """Where both lanes of each queue stand; from now on lower epochs of the node are fenced there."""

    def known_lanes(self, node: str) -> set[Lane]:
        """Lanes of the node that Redis has a mark of."""

    def apply(self, node: str, epoch: int, shipments: Sequence[Shipment]) -> list[Receipt]:
        """Make shipments true, each atomically, in order within a lane; after one that is not applied, the others of its
        lane are answered alike and change nothing."""

    def probe(self, node: str) -> Pulse:
        """A round trip that writes."""

    def states(self, queue: str, ids: Sequence[str]) -> dict[str, str]:
        """State of jobs that Redis knows, live or lately ended; ``owned`` for those that a node holds for itself."""

    def release_held(self, agent: str, before: int, keep: Collection[int] = ()) -> int:
        """Take back what an agent holds under tokens lower than ``before``, except those to keep, also in queues that hold
        them; returns how many jobs."""

    def names(self, node: str) -> set[str]:
        """All names that a node has had: its own, and those it took when its journal and Redis parted."""

    def free_owned(self, nodes: Collection[str], by: str = "") -> int:
        """Give the fleet the jobs that nodes hold for themselves which are gone for good; returns how many."""

    def amend(self, queue: str, id_: str, result: bytes) -> bool:
        """Put another result in the place of a completed job's; whether it was there."""

    def follow_ends(self, told: Callable[[Iterable[str]], None]) -> Callable[[], None]:
        """Tell the ids of jobs that end, wherever they ran, until the function returned is called."""

    def silence(self, reason: str) -> None:
        """Send nothing at all from now on, for this reason; "" ends it."""

    def disconnect(self) -> None:
        """Drop all connections, so that calls under way end now."""


def chained(chain: bytes, number: int, raw: bytes) -> bytes:
    """The chain of a lane after one more event."""
    return hashlib.sha256(chain + number.to_bytes(8, "big") + raw).digest()


def lane_of(event: ev.Event) -> Lane | None:
    """The lane in which an event travels; ``None`` if it stays where it is."""
    kind = type(event)
    if kind is ev.JobEnqueued or kind in _ALWAYS_JOBS:
        return Lane(event.queue, JOBS) if event.queue else None  # type: ignore[attr-defined]
    if isinstance(event, _BY_TOKEN) and event.queue:
        return Lane(event.queue, ENDS if event.token >= REMOTE_TOKENS else JOBS)
    return None


_ALWAYS_JOBS = frozenset(
    {ev.JobsOffered, ev.CancelRequested, ev.JobRetried, ev.JobDeleted, ev.QueuePaused, ev.QueueResumed}
)
_BY_TOKEN = (ev.AttemptEnded, ev.JobStarted, ev.JobProgressed, ev.JobLogged, ev.JobOutput)
