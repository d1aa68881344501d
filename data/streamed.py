"""Reads the streams of a fleet ahead of the recorder, on a thread of its own.

Redis may be slow or away at any time; the recorder, which also follows the journal, must never wait for it.  So a thread
reads into a bounded room, and the recorder takes what is there.  The thread also tells Redis how far history is, so that
what is still needed is trimmed last, and knows how far history is behind.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Protocol

from data.hauls import Entry
from engine.kernel.clock import Clock
from engine.kernel.errors import HoldfastError, Unreachable

log = logging.getLogger("holdfast.recorder")

#: events that are read ahead, about, and entries of each stream asked for at once: so few that Redis, which serves nobody
#: else meanwhile, answers within a millisecond
ROOM, ENTRIES = 20_000, 16
#: seconds in which entries gather while they come one by one
GATHER = 0.05
#: seconds that one reading waits for something new; also how long a stop may take
PATIENCE = 0.5
#: seconds between two words to Redis about how far history is
TELL_SECONDS = 1.0
#: seconds before Redis is asked again when it did not answer, doubled up to the most
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0


class Source(Protocol):
    """The streams; see ``engine.storage.redis.streams.StreamLog``."""

    def read(self, marks: Mapping[str, str], most: int, timeout: float) -> Iterable[Entry]: ...
    def acknowledge(self, marks: Mapping[str, str]) -> int: ...


class StreamFollower:
    """Implements ``data.recorder.Streams``."""

    def __init__(self, source: Source, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._lock = threading.Condition()
        self._entries: deque[Entry] = deque()
        self._events = 0
        self._marks: dict[str, str] = {}
        self._recorded: dict[str, str] = {}
        #: counts beginnings: what was read before the last one is not kept
        self._era = 0
        self._begun = False
        self._stopping = threading.Event()
        self._told_at = -TELL_SECONDS
        #: when history last had all that the streams held, and a later moment with the marks that it must reach for that
        self._level_at = clock.monotonic()
        self._next_level: tuple[float, dict[str, str]] | None = None
        self._pause = FIRST_PAUSE
        self._thread = threading.Thread(target=self._run, name="recorder-streams", daemon=True)
        #: entries that history does not have yet, as Redis counted them last
        self.pending = 0
        #: Redis does not answer
        self.away = False
        #: entries that were trimmed before anybody read them
        self.lost = 0

    def start(self) -> None:
        """Read as soon as it is known from where."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, within the patience of a reading."""
        self._stopping.set()
        with self._lock:
            self._lock.notify_all()
        self._thread.join()

    def lag(self) -> float:
        """Seconds since history was level with the streams, as far as is known."""
        return self._clock.monotonic() - self._level_at if self.pending or self._entries else 0.0

    # --- the recorder's side ---

    def begin(self, marks: dict[str, str]) -> None:
        """Read from ``marks`` on; what was read ahead is dropped."""
        with self._lock:
            self._marks, self._recorded = dict(marks), dict(marks)
            self._entries.clear()
            self._events = 0
            self._era += 1
            self._next_level = None
            self._begun = True
            self._lock.notify_all()

    def take(self, most: int) -> list[Entry]:
        """Entries that were read, with about ``most`` events; never waits."""
        taken: list[Entry] = []
        count = 0
        with self._lock:
            while self._entries and count < most:
                entry = self._entries.popleft()
                count += len(entry.events)
                taken.append(entry)
            self._events -= count
            self._lock.notify_all()
        return taken

    def recorded(self, marks: dict[str, str]) -> None:
        """History has the streams up to ``marks``."""
        with self._lock:
            self._recorded = marks
            self._note_level()

    # --- the thread ---

    def _run(self) -> None:
        while not self._stopping.is_set():
            delay = self.run_once()
            if delay:
                self._stopping.wait(delay)

    def run_once(self) -> float:
        """One round of reading; returns seconds until the next."""
        with self._lock:
            ready = self._lock.wait_for(lambda: self._begun or self._stopping.is_set(), PATIENCE)
            era, marks = self._era, dict(self._marks)
        if not ready or self._stopping.is_set():
            return 0.0
        began, found = self._clock.monotonic(), Counter[str]()
        try:
            self._tell()
            for entry in self._source.read(marks, ENTRIES, PATIENCE):
                if not self._keep(entry, era):
                    break
                found[entry.stream] += 1
        except Unreachable as error:
            return self._missed(error)
        except HoldfastError:
            log.exception("the streams of Redis cannot be read")
            return LONGEST_PAUSE
        if self.away:
            log.info("Redis answers again: history goes on with its streams")
        self.away, self._pause = False, FIRST_PAUSE
        if max(found.values(), default=0) >= ENTRIES:
            return 0.0
        self._has_read_all_of(began, era)
        return GATHER if found else 0.0

    def _has_read_all_of(self, at: float, era: int) -> None:
        """What the streams held at that time is in the room; once it is recorded, history was level with it."""
        with self._lock:
            if self._next_level is None and self._era == era:
                self._next_level = (at, dict(self._marks))
            self._note_level()

    def _note_level(self) -> None:
        if self._next_level is not None and _reach(self._recorded, self._next_level[1]):
            self._level_at, self._next_level = max(self._level_at, self._next_level[0]), None

    def _missed(self, error: Unreachable) -> float:
        if not self.away:
            log.warning("the streams of Redis cannot be read; history goes on with the journal: %s", error)
        self.away = True
        delay, self._pause = self._pause, min(LONGEST_PAUSE, self._pause * 2)
        return delay

    def _keep(self, entry: Entry, era: int) -> bool:
        """Put an entry into the room, once there is some; whether reading may go on."""
        with self._lock:
            self._lock.wait_for(lambda: self._events < ROOM or self._era != era or self._stopping.is_set())
            if self._era != era or self._stopping.is_set():
                return False
            self._note_gap(entry)
            self._entries.append(entry)
            self._events += len(entry.events)
            self._marks[entry.stream] = entry.id
            return True

    def _note_gap(self, entry: Entry) -> None:
        gap = entry.gap
        if gap is None or (not gap.entries):
            return
        where = f"the stream of queue {entry.stream}" if entry.stream else "the stream of the fleet"
        if gap.entries < 0:
            log.warning("%s begins anew: Redis was emptied or went back in time; history goes on with it", where)
        else:
            self.lost += gap.entries
            log.warning("%s lost %d entries before history had them; what they told is missing", where, gap.entries)

    def _tell(self) -> None:
        now = self._clock.monotonic()
        if now - self._told_at < TELL_SECONDS:
            return
        self._told_at = now
        self.pending = self._source.acknowledge(self._recorded)
        if not self.pending:
            self._level_at = now


def _reach(marks: Mapping[str, str], others: Mapping[str, str]) -> bool:
    """Whether ``marks`` stand nowhere before ``others``."""
    return all(_place(marks.get(stream, "0-0")) >= _place(id) for stream, id in others.items())


def _place(id: str) -> tuple[int, ...]:
    return tuple(map(int, id.split("-")))
