"""What a node remembers of its dealings with Redis: its name there, what Redis has acknowledged, how far back it can go.

Kept as values in the node's own journal.  *Acknowledged* is where the next resync begins if Redis still has what it had;
*floor* is where it begins if Redis went back: nothing behind the floor was deleted.  Before the floor the journal cannot
give anything back, so if Redis lost even that, or has more than this journal ever wrote, the node takes a new name there:
lanes of a new name begin anew at the floor, and what Redis still has of it is known by the ids of the jobs.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

import msgspec

from airgap.shipping import Ledger, Marks
from engine.storage.base import KeyValue
from engine.storage.lanes import Lane, Mark

#: values that begin so are the node's own and never leave it
OWN = "link:"
_ACKNOWLEDGED, _FLOOR, _NAME, _RENAMED = OWN + "acknowledged", OWN + "floor", OWN + "name", OWN + "renamed"

#: events that concern no lane after which the place is written down nevertheless, so that a start reads few
IDLE_EVENTS = 1_000

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Ledger).decode


class Ledgers:
    """Name, acknowledged and floor of a node."""

    def __init__(self, values: KeyValue, node: str) -> None:
        self._values = values
        self._node = node
        self._saved: Ledger | None = None

    @property
    def node(self) -> str:
        """The node itself, whatever name it goes by."""
        return self._node

    @property
    def name(self) -> str:
        """The node's name in Redis."""
        given = self._values.value(_NAME)
        return given.decode() if given else self._node

    def rename(self) -> None:
        """Begin anew at the floor under another name."""
        floor = self.floor
        self._values.set_value(_RENAMED, b"1")
        self._values.set_value(_NAME, f"{self._node}.{secrets.token_hex(3)}".encode())
        self.set_out(Ledger(floor.segment, floor.event))

    @property
    def renamed(self) -> bool:
        """Whether jobs may be held under a former name that nobody knows of any more."""
        return self._values.value(_RENAMED) is not None

    def settled(self) -> None:
        """Nothing is held under a former name."""
        self._values.drop(_RENAMED)

    @property
    def acknowledged(self) -> Ledger:
        """Up to here Redis has everything, by its own word."""
        return self._ledger(_ACKNOWLEDGED)

    @property
    def floor(self) -> Ledger:
        """Everything behind it is still in the journal."""
        return self._ledger(_FLOOR)

    @property
    def begun(self) -> bool:
        """Whether this home had lanes before."""
        return self._values.value(_FLOOR) is not None

    def set_out(self, ledger: Ledger) -> None:
        """Let the lanes begin behind ``ledger``."""
        self.acknowledge(ledger)
        self.raise_floor(ledger)

    def acknowledge(self, ledger: Ledger) -> None:
        """Redis has everything up to ``ledger``.  Written down if that says more than what is: writing it is an event too."""
        saved = self._saved
        if saved is None or ledger.lanes != saved.lanes or ledger.event - saved.event >= IDLE_EVENTS:
            self._values.set_value(_ACKNOWLEDGED, _encode(ledger))
            self._saved = ledger

    def raise_floor(self, ledger: Ledger) -> None:
        """What lies before ``ledger`` may be deleted."""
        self._values.set_value(_FLOOR, _encode(ledger))

    def _ledger(self, key: str) -> Ledger:
        kept = self._values.value(key)
        return _decode(kept) if kept else Ledger()

    def begin(self, theirs: Mapping[Lane, Mark], last_event: int) -> tuple[Ledger, int] | None:
        """Where to begin with a Redis that stands at ``theirs``, and how many acknowledged events it has lost; ``None`` if
        only a new name helps.  ``last_event`` is the end of the journal."""
        if any(mark.number > last_event for mark in theirs.values()):
            return None
        lost = behind(theirs, self.acknowledged.marks)
        if not lost:
            return self.acknowledged, 0
        floor = self.floor
        return None if behind(theirs, floor.marks) else (floor, lost)


def behind(theirs: Mapping[Lane, Mark], ours: Marks) -> int:
    """How far Redis stands behind, in events of the journal: of the lane that it lacks most of."""
    return max([0, *(mark.number - theirs.get(lane, Mark()).number for lane, mark in ours.items())])
