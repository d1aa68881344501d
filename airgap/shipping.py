"""Giving events of the journal to Redis, exactly once each, from wherever Redis says it stands.

A ``Ledger`` is a place in the journal with the mark of every lane there.  From a ledger whose marks Redis has reached,
events are read on: what Redis has already is only chained, so that both histories are compared where they meet; what it
lacks is sent.  Nothing here remembers what was sent: after a call that was not answered Redis' marks are asked for anew.

Invariants: a ledger moves on only past events that Redis has applied; in a lane events go in the order of the journal;
``Mismatch`` and ``Regressed`` leave the last ledger as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import msgspec

from airgap.outbox import Chunk, Outbox, Place
from engine.kernel.errors import HoldfastError
from engine.kernel.faults import reached
from engine.storage.lanes import Lane, Mark, Numbered, Receipt, Remote, Shipment, chained, lane_of

#: events read, and sent, at once; of one lane in one call
CHUNK, SHIPMENT = 2_000, 500

Marks = dict[Lane, Mark]


class Ledger(msgspec.Struct, frozen=True):
    """Where reading stands, and all lanes there."""

    segment: int = 0
    event: int = 0
    #: (queue, kind, number, chain)
    lanes: tuple[tuple[str, str, int, bytes], ...] = ()

    @property
    def place(self) -> Place:
        return Place(self.segment, self.event)

    @property
    def marks(self) -> Marks:
        return {Lane(queue, kind): Mark(number, chain) for queue, kind, number, chain in self.lanes}


def ledger_of(place: Place, marks: Mapping[Lane, Mark]) -> Ledger:
    """A ledger of these marks."""
    lanes = sorted((lane.queue, lane.kind, mark.number, mark.chain) for lane, mark in marks.items())
    return Ledger(place.segment, place.event, tuple(lanes))


class Mismatch(HoldfastError):
    """Redis and this journal tell different histories of one lane."""


class Regressed(HoldfastError):
    """Redis has less than it had: it went back in time."""


class Fenced(HoldfastError):
    """Another process gives itself out as this node."""


class Shipper:
    """Sends what Redis lacks.  One thread at a time."""

    def __init__(self, outbox: Outbox, remote: Remote, told: Callable[[Receipt], None]) -> None:
        self._outbox = outbox
        self._remote = remote
        self._told = told
        #: events and bytes given to Redis by this process
        self.events = 0
        self.bytes = 0

    def ship(
        self, node: str, epoch: int, ledger: Ledger, theirs: Marks, kinds: Collection[str], most: int = CHUNK
    ) -> Iterator[Ledger]:
        """Send everything of these kinds of lanes behind ``ledger``; yields the ledger after each chunk that is applied.

        ``theirs`` is where Redis stands, and is kept up.  Raises ``Unreachable``, ``Mismatch``, ``Regressed``, ``Fenced``.
        """
        ours = ledger.marks
        for chunk in self._outbox.chunks(ledger.place, most):
            missing = self._missing(chunk, ours, theirs, kinds)
            self._send(node, epoch, missing, theirs)
            yield ledger_of(chunk.place, ours)

    def _missing(
        self, chunk: Chunk, ours: Marks, theirs: Marks, kinds: Collection[str]
    ) -> dict[Lane, tuple[list[Numbered], list[Mark]]]:
        """Of each lane, the events that Redis lacks, and the mark after each; ``ours`` moves past all of them."""
        missing: dict[Lane, tuple[list[Numbered], list[Mark]]] = {}
        for event in chunk.events:
            lane = lane_of(event.event)
            if lane is None or lane.kind not in kinds:
                continue
            before = ours.get(lane, START)
            if event.number <= before.number:
                continue
            after = ours[lane] = Mark(event.number, chained(before.chain, event.number, event.raw))
            if lacks(lane, before, after, theirs.get(lane, START)):
                if lane not in missing:
                    _adjoins(lane, before, theirs.get(lane, START))
                events, marks = missing.setdefault(lane, ([], []))
                events.append(event)
                marks.append(after)
        return missing

    def _send(
        self, node: str, epoch: int, missing: Mapping[Lane, tuple[list[Numbered], list[Mark]]], theirs: Marks
    ) -> None:
        shipments = [
            shipment
            for lane, (events, marks) in missing.items()
            for shipment in _cut(lane, theirs.get(lane, START), events, marks)
        ]
        if not shipments:
            return
        reached("ship.before_send")
        receipts = self._remote.apply(node, epoch, shipments)
        reached("ship.after_send")
        for shipment, receipt in zip(shipments, receipts, strict=True):
            self._settle(shipment, receipt, theirs)

    def _settle(self, shipment: Shipment, receipt: Receipt, theirs: Marks) -> None:
        lane = shipment.lane
        if receipt.status == "fenced":
            raise Fenced(
                "another process gives itself out as this node: is its home a copy? Nothing more is sent until the link "
                "is released by hand"
            )
        if receipt.status not in ("applied", "known"):
            raise regressed(lane, receipt.mark, shipment.before)
        theirs[lane] = shipment.after
        self.events += len(shipment.events)
        self.bytes += sum(len(event.raw) for event in shipment.events)
        self._told(receipt)


#: where a lane begins
START = Mark()


def lacks(lane: Lane, before: Mark, after: Mark, theirs: Mark) -> bool:
    """Whether Redis, standing at ``theirs``, lacks the event between two marks of ours.  Raises ``Mismatch``."""
    if after.number < theirs.number:
        return False
    if after.number == theirs.number:
        if after.chain != theirs.chain:
            raise mismatch(lane, theirs)
        return False
    if before.number < theirs.number:
        raise mismatch(lane, theirs)
    return True


def _adjoins(lane: Lane, before: Mark, theirs: Mark) -> None:
    """See that nothing lies between where Redis stands and what is sent first.  Raises ``Regressed``, ``Mismatch``."""
    if before.number > theirs.number:
        raise regressed(lane, theirs, before)
    if before.chain != theirs.chain:
        raise mismatch(lane, theirs)


def regressed(lane: Lane, theirs: Mark, ours: Mark) -> Regressed:
    """The error for a lane in which Redis has less than it had."""
    return Regressed(
        f"lane {lane.kind} of queue {lane.queue}: Redis stands at event {theirs.number} and had {ours.number}"
    )


def mismatch(lane: Lane, theirs: Mark) -> Mismatch:
    """The error for a lane that does not fit."""
    return Mismatch(
        f"lane {lane.kind} of queue {lane.queue}: up to event {theirs.number} Redis knows another history than this "
        "journal. Was the home exchanged, or set back? Nothing more is sent until the link is released by hand: then the "
        "node takes a new name in Redis and gives it all that it keeps once more"
    )


def _cut(lane: Lane, before: Mark, events: Sequence[Numbered], marks: Sequence[Mark]) -> Iterator[Shipment]:
    for start in range(0, len(events), SHIPMENT):
        part = events[start : start + SHIPMENT]
        after = marks[start + len(part) - 1]
        yield Shipment(lane, before, after, part)
        before = after
