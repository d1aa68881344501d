"""What Redis answered to shipments, until whoever shipped asks for it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from engine.kernel.bus import Bus
from engine.storage.lanes import Receipt

#: answers kept that nobody asked for: those of a resync are nobody's
KEPT = 20_000


class Arrivals:
    """Jobs that were known before, ends that came too late, conflicts."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._lock = threading.Lock()
        self._firsts: OrderedDict[str, str] = OrderedDict()
        self._stale: OrderedDict[str, None] = OrderedDict()
        #: conflicts found by this process
        self.conflicts = 0

    def told(self, receipt: Receipt) -> None:
        """Take in an answer."""
        with self._lock:
            self._firsts.update(receipt.firsts)
            self._stale.update(dict.fromkeys(receipt.stale))
            for kept in (self._firsts, self._stale):
                while len(kept) > KEPT:
                    kept.popitem(last=False)
            self.conflicts += len(receipt.conflicts)
        if receipt.conflicts:
            self._bus.publish(receipt.conflicts)

    def firsts(self, ids: Iterable[str]) -> dict[str, str]:
        """Of these jobs, those that were known before, with the id of the first; told once."""
        with self._lock:
            return {id_: self._firsts.pop(id_) for id_ in ids if id_ in self._firsts} if self._firsts else {}

    def stale(self, ids: Iterable[str]) -> set[str]:
        """Of these jobs, those whose end came too late; told once."""
        with self._lock:
            late = {id_ for id_ in ids if id_ in self._stale} if self._stale else set()
            for id_ in late:
                del self._stale[id_]
            return late
