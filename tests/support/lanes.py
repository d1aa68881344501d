"""A node's events in the lanes in which they travel, for tests: numbered, chained and cut as a test wants."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from engine.kernel import events as ev
from engine.storage.lanes import Lane, Mark, Numbered, Shipment, chained, lane_of

_encode = msgspec.msgpack.encode


class Ledger:
    """What a journal would keep of the events of one node."""

    def __init__(self, node: str = "n1") -> None:
        self.node = node
        self.number = 0
        self.lanes: dict[Lane, list[Numbered]] = defaultdict(list)
        self.marks: dict[Lane, list[Mark]] = defaultdict(lambda: [Mark()])

    def write(self, *events: ev.Event) -> None:
        """Number some events and put each in its lane."""
        for event in events:
            self.number += 1
            lane = lane_of(event)
            if lane is not None:
                entry = Numbered(self.number, event, _encode(event))
                mark = Mark(self.number, chained(self.marks[lane][-1].chain, self.number, entry.raw))
                self.lanes[lane].append(entry)
                self.marks[lane].append(mark)

    def shipment(self, lane: Lane, begin: int = 0, end: int | None = None) -> Shipment:
        """Events of a lane from the ``begin``-th to before the ``end``-th."""
        end = len(self.lanes[lane]) if end is None else end
        return Shipment(lane, self.marks[lane][begin], self.marks[lane][end], self.lanes[lane][begin:end])

    def shipments(self, cuts: Sequence[int] = ()) -> list[Shipment]:
        """Everything, cut in each lane after the numbers of events given."""
        found = []
        for lane in sorted(self.lanes):
            count = len(self.lanes[lane])
            edges = sorted({0, count, *(cut for cut in cuts if cut < count)})
            found += [self.shipment(lane, *edge) for edge in pairwise(edges)]
        return found
