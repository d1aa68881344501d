"""What a recorder takes from a log at once, and which of it is new to history.

A haul of a journal is some segments, one of the streams some entries.  ``fresh`` says what of it history does not have
yet, as portions to fold in order, and moves the marks along in memory; ``write`` puts the marks into the transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

from data.marks import JournalMark, Marks, base
from data.plain import Plain
from engine.kernel import events as ev
from engine.storage.base import Stretch


class Portion(NamedTuple):
    """Events to fold in their order."""

    events: Sequence[ev.Event]
    #: moves of Redis itself
    direct: bool = False
    #: jobs whose ends here came too late
    stale: Collection[str] = ()


class Gap(Protocol):
    """Entries of a stream that nobody can read any more."""

    @property
    def entries(self) -> int: ...
    @property
    def after(self) -> str: ...


class Entry(Protocol):
    """An entry of a stream; see ``engine.storage.redis.streams.Batch``."""

    @property
    def stream(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def node(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def last(self) -> int: ...
    @property
    def numbers(self) -> Sequence[int]: ...
    @property
    def events(self) -> Sequence[ev.Event]: ...
    @property
    def stale(self) -> Collection[str]: ...
    @property
    def gap(self) -> Gap | None: ...


class Haul(Protocol):
    """What is recorded in one transaction."""

    def fits(self, marks: Marks) -> bool:
        """Whether it begins where history ends."""

    def fresh(self, marks: Marks) -> list[Portion]:
        """What of it is new; the marks move in memory."""

    def write(self, plain: Plain, marks: Marks, at: float) -> None:
        """Put the marks into the transaction; ``at`` is the time of the last event."""


class JournalHaul:
    """Segments of the journal called ``name``."""

    def __init__(self, name: str, after: int, position: int, stretches: Sequence[Stretch]) -> None:
        self._name = name
        self._after = after
        self._position = position
        self._stretches = stretches

    def fits(self, marks: Marks) -> bool:
        """See ``Haul.fits``."""
        return marks.journal(self._name).position == self._after

    def fresh(self, marks: Marks) -> list[Portion]:
        """See ``Haul.fresh``."""
        ahead = marks.ahead(self._name)
        return [
            Portion(stretch.events if stretch.first > ahead or not ahead else self._unseen(stretch, marks))
            for stretch in self._stretches
        ]

    def _unseen(self, stretch: Stretch, marks: Marks) -> list[ev.Event]:
        numbers = range(stretch.first, stretch.first + len(stretch.events))
        return [
            event
            for number, event in zip(numbers, stretch.events, strict=True)
            if marks.new_of_journal(self._name, number, event)
        ]

    def write(self, plain: Plain, marks: Marks, at: float) -> None:
        """See ``Haul.write``."""
        before = marks.journal(self._name)
        number = max((s.first + len(s.events) - 1 for s in self._stretches if s.first), default=before.number)
        mark = JournalMark(self._position, max(before.at, at), number)
        marks.write_journal(plain, self._name, mark)


class StreamHaul:
    """Entries of the streams of a fleet.  ``own`` is the journal that this recorder follows: its lanes come from there."""

    def __init__(self, entries: Sequence[Entry], own: str) -> None:
        self._entries = entries
        self._own = own
        self.read: dict[str, str] = {}

    def fits(self, marks: Marks) -> bool:
        """See ``Haul.fits``; entries that are known are passed over one by one."""
        return True

    def fresh(self, marks: Marks) -> list[Portion]:
        """See ``Haul.fresh``."""
        portions: list[Portion] = []
        self.read = {}
        for entry in self._entries:
            known = self.read.get(entry.stream, marks.streams.get(entry.stream, ""))
            flushed = entry.gap is not None and entry.gap.entries < 0 and entry.gap.after == known
            if flushed or _place(entry.id) > _place(known):
                self.read[entry.stream] = entry.id
                portions.extend(self._portions(entry, marks))
        return portions

    def _portions(self, entry: Entry, marks: Marks) -> Iterable[Portion]:
        count = len(entry.numbers)
        if entry.node and base(entry.node) != self._own:
            lane = entry.node, entry.stream, entry.kind
            pairs = zip(entry.numbers, entry.events[:count], strict=True)
            events = [event for number, event in pairs if marks.new_of_lane(*lane, number)]
            marks.advance_lane(*lane, entry.last)
            yield Portion(events, False, entry.stale)
        if len(entry.events) > count:
            yield Portion(entry.events[count:], True)

    def write(self, plain: Plain, marks: Marks, at: float) -> None:
        """See ``Haul.write``."""
        marks.write_streams(plain, self.read)


class Loose:
    """One event, recorded by itself because the haul that it is of cannot be; moves no mark."""

    def __init__(self, portion: Portion, event: ev.Event) -> None:
        self._portion = Portion([event], portion.direct, portion.stale)

    def fits(self, marks: Marks) -> bool:
        """See ``Haul.fits``."""
        return True

    def fresh(self, marks: Marks) -> list[Portion]:
        """See ``Haul.fresh``."""
        return [self._portion]

    def write(self, plain: Plain, marks: Marks, at: float) -> None:
        """See ``Haul.write``."""


def _place(id: str) -> tuple[int, int]:
    """A stream's id as a place in order; "" is before all."""
    time, _, count = id.partition("-")
    return int(time or 0), int(count or 0)
