"""The outbox: what of the journal has to travel, in the order in which it was written.

The journal is the outbox; nothing is written twice.  The newest events are kept in memory as they are committed
(``Tail``), older ones are read back from their segments, so that shipping keeps up without touching the disk and a
backlog of any length needs no more memory than one chunk.  Knows nothing of Redis.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from airgap.reader import JournalReader
from airgap.segment import SegmentReader, UnknownKey
from engine.kernel.errors import StoreDamaged
from engine.kernel.events import Event, decoder
from engine.storage.lanes import Numbered

log = logging.getLogger("holdfast.link")

#: events that are kept in memory
TAIL_EVENTS = 20_000
#: segments read at once
SEGMENTS = 64


class Place(NamedTuple):
    """Where in the journal someone reads: a segment that is read, and the last event of it."""

    segment: int = 0
    event: int = 0


class Chunk(NamedTuple):
    """Events in a row, and the place after them."""

    events: Sequence[Numbered]
    place: Place


class _Commit(NamedTuple):
    segment: int
    first: int
    events: Sequence[Event]


class Tail:
    """The newest commits."""

    def __init__(self) -> None:
        self._commits: deque[_Commit] = deque()
        self._size = 0
        self._lock = threading.Lock()

    def add(self, segment: int, first: int, events: Sequence[Event]) -> None:
        """A commit was made."""
        with self._lock:
            self._commits.append(_Commit(segment, first, events))
            self._size += len(events)
            while self._size > TAIL_EVENTS and len(self._commits) > 1:
                self._size -= len(self._commits.popleft().events)

    def after(self, event: int) -> list[_Commit] | None:
        """Commits with events behind ``event``; ``None`` if the oldest of them are not in memory any more."""
        with self._lock:
            if not self._commits or self._commits[0].first > event + 1:
                return None
            found: list[_Commit] = []
            for commit in reversed(self._commits):
                if commit.first + len(commit.events) - 1 <= event:
                    break
                found.append(commit)
        return found[::-1]

    def at(self, event: int) -> float | None:
        """Wall time of the first event behind ``event`` that is in memory."""
        commits = self.after(event)
        if not commits:
            return None
        return next((at for commit in commits for at in (getattr(commit.events[0], "at", None),) if at), None)


class Outbox:
    """Reads the journal in chunks.  One thread at a time."""

    def __init__(self, tail: Tail, reader: Callable[[], JournalReader]) -> None:
        self._tail = tail
        self._make_reader = reader
        self._reader: JournalReader | None = None
        self._segments = SegmentReader()
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = decoder().decode

    def close(self) -> None:
        """Let go of the file."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def chunks(self, after: Place, most: int) -> Iterator[Chunk]:
        """Everything behind ``after`` up to now, about ``most`` events at a time."""
        place = after
        while True:
            commits = self._tail.after(place.event)
            chunk = self._from_disk(place, most) if commits is None else self._from_tail(commits, place, most)
            if chunk.place == place:
                return
            place = chunk.place
            yield chunk

    def _from_tail(self, commits: Sequence[_Commit], place: Place, most: int) -> Chunk:
        events: list[Numbered] = []
        encode = self._encode
        for commit in commits:
            for number, event in enumerate(commit.events, commit.first):
                if number > place.event:
                    events.append(Numbered(number, event, encode(event)))
            place = Place(commit.segment, commit.first + len(commit.events) - 1)
            if len(events) >= most:
                break
        return Chunk(events, place)

    def _from_disk(self, place: Place, most: int) -> Chunk:
        events: list[Numbered] = []
        while len(events) < most:
            read = 0
            for number, body in self._bodies(place.segment):
                read += 1
                place = self._take(number, body, place, events)
                if len(events) >= most:
                    break
            if read < SEGMENTS:
                break
        return Chunk(events, place)

    def _bodies(self, after: int) -> Iterator[tuple[int, bytes | None]]:
        """Segments behind one; after a rotation of keys the reader is made anew."""
        for _ in range(2):
            if self._reader is None:
                self._reader = self._make_reader()
            try:
                yield from self._reader.bodies(after, SEGMENTS)
                return
            except UnknownKey:
                self.close()

    def _take(self, number: int, body: bytes | None, place: Place, events: list[Numbered]) -> Place:
        """Add the events of a segment; one that is damaged was reported by the reader and is passed over."""
        if body is None:
            return Place(number, place.event)
        try:
            segment = self._segments.raw(number, body)
        except StoreDamaged as error:
            log.error("%s; its events cannot be given to Redis", error)
            return Place(number, place.event)
        for position, raw in enumerate(segment.events, segment.first):
            if position > place.event:
                self._add(position, bytes(raw), events)
        return Place(number, max(place.event, segment.first + len(segment.events) - 1))

    def _add(self, number: int, raw: bytes, events: list[Numbered]) -> None:
        try:
            events.append(Numbered(number, self._decode(b"\x91" + raw)[0], raw))
        except msgspec.MsgspecError as error:
            log.error("event %d of the journal makes no sense and cannot be given to Redis: %s", number, error)
