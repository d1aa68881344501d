"""Entries of the streams, made into the very records of events again.

What a caller wrote stands in ``b``, what a script made in ``t``; ``x`` names what of ``b`` did not become true.  An entry of a
lane has numbers, those of the node's journal; events that Redis made have none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

import msgspec

from engine.kernel import events as ev
from engine.storage.redis.receipts import conflict_of


class Gap(msgspec.Struct, frozen=True):
    """Entries that were gone before they were read."""

    #: how many; -1 if the stream is another one than before (Redis was emptied or went back in time)
    entries: int
    #: id of the last entry known before them
    after: str
    #: id of the first entry after them
    before: str
    #: wall time of the last entry known before them, 0 if there is none
    at: float


class Batch(msgspec.Struct, frozen=True):
    """The events of one entry."""

    #: name of the queue, "" for the fleet's stream
    stream: str
    #: id of the entry
    id: str
    #: node whose lane it is, "" for what was done in Redis directly
    node: str
    #: ``ends`` or ``jobs``, "" for what was done in Redis directly
    kind: str
    #: numbers of the first and the last event in the node's journal, 0 for what has none
    first: int
    last: int
    #: number of each of the first ``len(numbers)`` events; the others are Redis' own
    numbers: Sequence[int]
    events: Sequence[ev.Event]
    #: ids of jobs whose end in here came too late, or was known
    stale: frozenset[str] = frozenset()
    #: what is missing before this entry
    gap: Gap | None = None


class Reading:
    """Reads entries.  Not thread-safe."""

    def __init__(self) -> None:
        self._events = ev.decoder().decode
        self._numbers = msgspec.msgpack.Decoder(list[int]).decode
        self._conflicts = msgspec.msgpack.Decoder(list[tuple[int, str, int]]).decode

    def batch(self, stream: str, id_: str, fields: Mapping[bytes, bytes], gap: Gap | None) -> Batch:
        """The events of an entry."""
        written = self._blob(fields, b"n", b"b")
        left_out = {index - 1 for index in self._numbers(fields[b"x"])} if b"x" in fields else set()
        own = [*self._blob(fields, b"tn", b"t"), *self._found(stream, id_, fields, written)]
        ends = {i: event.id for i in left_out if isinstance(event := written[i], ev.AttemptEnded)}
        stale = frozenset(ends.values())
        if b"node" not in fields:
            events = [event for i, event in enumerate(written) if i not in left_out] if left_out else written
            return Batch(stream, id_, "", "", 0, 0, (), [*events, *own], stale, gap)
        numbers = list(accumulate(self._numbers(fields[b"nums"])))
        kept = [i for i in range(len(written)) if i not in left_out or i in ends]
        return Batch(
            stream, id_, fields[b"node"].decode(), fields[b"lane"].decode(), numbers[0], numbers[-1],
            [numbers[i] for i in kept], [*[written[i] for i in kept], *own], stale, gap,
        )  # fmt: skip

    def _blob(self, fields: Mapping[bytes, bytes], count: bytes, blob: bytes) -> Sequence[ev.AnyEvent]:
        if count not in fields:
            return []
        return self._events(b"\xdd" + int(fields[count]).to_bytes(4, "big") + fields[blob])

    def _found(
        self, stream: str, id_: str, fields: Mapping[bytes, bytes], written: Sequence[ev.Event]
    ) -> list[ev.ConflictFound]:
        if b"cf" not in fields:
            return []
        told, firsts, found = self._conflicts(fields[b"cf"]), fields[b"cb"], []
        node = fields.get(b"node", fields.get(b"w", b"")).decode()
        at = int(fields.get(b"at", id_.split("-")[0].encode())) / 1000
        numbers = list(accumulate(self._numbers(fields[b"nums"]))) if b"nums" in fields else []
        ends = list(accumulate([size for _, _, size in told]))
        for (index, kind, size), end in zip(told, ends, strict=True):
            name = f"{node}:{fields[b'lane'].decode()}:{numbers[index - 1]}" if numbers else f"{stream}:{id_}:{index}"
            found.append(conflict_of(name, at, node, stream, written[index - 1], kind, firsts[end - size : end]))
        return found
