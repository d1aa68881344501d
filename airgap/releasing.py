"""Letting old segments go that Redis has, without letting go of what only the journal could give back.

Before a segment is released its events are chained into the floor, and the jobs in it that Redis still holds — scheduled
far ahead, or waiting long — are written to the journal once more: sent again they change nothing, but if Redis loses them
they are there.

That goes in sweeps, each from the floor to where Redis stood when it began: what a sweep itself writes is the next one's.
A sweep is begun only when enough came in since the last, so that a home at rest writes nothing, and one full of jobs that
wait does not write them again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from airgap.ledgers import Ledgers
from airgap.outbox import Chunk, Outbox
from airgap.shipping import START, Ledger, ledger_of
from engine.kernel import events as ev
from engine.storage.lanes import Mark, Numbered, Remote, chained, lane_of

#: events looked through in one go, so that nobody waits long
STEP = 5_000
#: events behind the floor that are worth no sweep: the words that a sweep leaves about itself
SPARE = 64
#: states in which Redis has no need of a job's enqueue any more
OVER = frozenset({"completed", "cancelled"})


class Releasing:
    """Raises the floor.  One thread at a time, while connected."""

    def __init__(
        self,
        outbox: Outbox,
        remote: Remote,
        ledgers: Ledgers,
        *,
        look: Callable[[], None],
        is_local: Callable[[str], bool],
        write: Callable[[Sequence[ev.Event]], None],
        release: Callable[[int], None],
    ) -> None:
        self._outbox = outbox
        self._remote = remote
        self._ledgers = ledgers
        self._look = look
        self._is_local = is_local
        self._write = write
        self._release = release
        #: last event that the sweep under way looks at; ``None`` between sweeps
        self._until: int | None = None
        #: events that the last sweep wrote once more
        self._rewritten = 0

    def step(self, before: float, acknowledged: Ledger) -> bool:
        """Release some segments whose events are all older than ``before`` and acknowledged; whether there may be more.
        Raises ``Unreachable``, ``Regressed``."""
        floor = self._ledgers.floor
        if self._until is None and not self._begin(floor, acknowledged):
            return False
        chunk = next(self._outbox.chunks(floor.place, STEP), None)
        if chunk is None or chunk.place.event > acknowledged.event or not _older(chunk, before):
            self._until = None
            return False
        self._let_go(floor, chunk)
        if self._until is not None and chunk.place.event >= self._until:
            self._until = None
        return self._until is not None

    def _begin(self, floor: Ledger, acknowledged: Ledger) -> bool:
        """Begin a sweep, if it is worth one: twice what the last one kept must have come."""
        if acknowledged.event - floor.event <= SPARE + 2 * self._rewritten:
            return False
        self._until, self._rewritten = acknowledged.event, 0
        return True

    def _let_go(self, floor: Ledger, chunk: Chunk) -> None:
        kept = self._still_needed(chunk.events)
        self._look()  # a Redis that went back just now may have known jobs' ends that it does not know any more
        if kept:
            self._write(kept)
            self._rewritten += len(kept)
        self._ledgers.raise_floor(_raised(floor, chunk))
        self._release(chunk.place.segment)

    def _still_needed(self, events: Sequence[Numbered]) -> list[ev.Event]:
        """Enqueues of jobs that Redis has not seen the end of."""
        kept: list[ev.Event] = []
        by_queue: dict[str, dict[str, ev.JobEnqueued]] = {}
        for numbered in events:
            event = numbered.event
            if isinstance(event, ev.JobEnqueued) and self._is_local(event.id):
                kept.append(event)
            elif isinstance(event, ev.JobEnqueued):
                by_queue.setdefault(event.queue, {})[event.id] = event
        for queue, jobs in by_queue.items():
            states = self._remote.states(queue, list(jobs))
            kept += [_offered(jobs[id_]) for id_, state in states.items() if state not in OVER]
        return kept


def _older(chunk: Chunk, before: float) -> bool:
    return all(getattr(event.event, "at", 0.0) < before for event in chunk.events[-1:])


def _offered(job: ev.JobEnqueued) -> ev.JobEnqueued:
    return ev.JobEnqueued(**{name: getattr(job, name) for name in job.__struct_fields__} | {"offered": True})


def _raised(floor: Ledger, chunk: Chunk) -> Ledger:
    marks = floor.marks
    for numbered in chunk.events:
        lane = lane_of(numbered.event)
        if lane is not None:
            before = marks.get(lane, START)
            marks[lane] = Mark(numbered.number, chained(before.chain, numbered.number, numbered.raw))
    return ledger_of(chunk.place, marks)
