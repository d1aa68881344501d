"""Answers of the ``apply`` script, read and put together into one receipt for each shipment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.kernel import events as ev
from engine.storage.lanes import Lane, Mark, Receipt, Shipment
from engine.storage.redis import conflicts

#: answers after which nothing more of a lane can be applied
STOPPED = frozenset({"gap", "chain", "fenced"})


class Receipts:
    """Collects what became of the pieces of some shipments, in the order in which they were sent."""

    def __init__(self, node: str, shipments: Sequence[Shipment]) -> None:
        self._node = node
        self._shipments = shipments
        self._receipts: list[Receipt | None] = [None] * len(shipments)
        self._stopped: dict[Lane, Receipt] = {}

    def stopped(self, lane: Lane) -> bool:
        """Whether something of the lane was not applied, so that nothing after it can be."""
        return lane in self._stopped

    def add(self, index: int, piece: Shipment, answer: list[Any]) -> None:
        """Take in the answer to a piece of a shipment."""
        if self.stopped(piece.lane):
            return
        receipt = read(self._node, piece, answer)
        if receipt.status in STOPPED:
            self._stopped[piece.lane] = Receipt(receipt.status, receipt.mark)
        earlier = self._receipts[index]
        self._receipts[index] = receipt if earlier is None else _joined(earlier, receipt)

    def all(self) -> list[Receipt]:
        """A receipt for each shipment."""
        return [
            receipt if receipt is not None else self._stopped[shipment.lane]
            for shipment, receipt in zip(self._shipments, self._receipts, strict=True)
        ]


def read(node: str, piece: Shipment, answer: list[Any]) -> Receipt:
    """What the script answered to a piece."""
    status, mark = answer[0].decode(), Mark(int(answer[1]), answer[2])
    if len(answer) < 4:
        return Receipt(status, mark)
    firsts = {id_.decode(): first.decode() for id_, first in zip(answer[3][::2], answer[3][1::2], strict=True)}
    if status != "applied":
        return Receipt(status, mark, firsts)
    at, stale, found = int(answer[4]) / 1000, answer[5], answer[6]
    return Receipt(
        status,
        mark,
        firsts,
        frozenset([piece.events[int(index) - 1].event.id for index in stale]),  # type: ignore[attr-defined]
        found_in(node, piece.lane, [(entry.number, entry.event) for entry in piece.events], at, found),
    )


def found_in(
    node: str, lane: Lane, events: Sequence[tuple[int, ev.Event]], at: float, found: Sequence[Any]
) -> list[ev.ConflictFound]:
    """The conflicts that the script found, told as ``index, kind, what stands`` one after the other."""
    conflicts_ = []
    for index, kind, stands in zip(found[::3], found[1::3], found[2::3], strict=True):
        number, event = events[int(index) - 1]
        id_ = f"{node}:{lane.kind}:{number}"
        conflicts_.append(conflict_of(id_, at, node, lane.queue, event, kind.decode(), stands))
    return conflicts_


def conflict_of(
    id_: str, at: float, node: str, queue: str, event: ev.Event, kind: str, stands: bytes
) -> ev.ConflictFound:
    """A conflict that a script told of an event: ``stands`` is the end that was there first as it was written, or with
    keys the job and the one that was there first."""
    if kind in ("request", "unique"):
        job, first = stands.decode().split(" ")
        if isinstance(event, ev.JobsOffered):
            id_ = f"{id_}:{job}"
        return conflicts.key_taken(id_, at, node, queue, job, kind, first)
    return conflicts.double(id_, at, node, queue, event, kind, stands)


def _joined(one: Receipt, other: Receipt) -> Receipt:
    status = one.status if other.status == "known" else other.status
    return Receipt(
        status,
        other.mark,
        {**one.firsts, **other.firsts},
        one.stale | other.stale,
        [*one.conflicts, *other.conflicts],
    )
