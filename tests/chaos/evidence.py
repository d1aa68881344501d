"""What became of jobs, by the files that executions left, by the journals, and by the streams and keys of Redis.

A ``Watcher`` reads the streams as a recorder would, while Redis is there; the journals are read at the end.  ``Evidence``
puts both beside the executions and names every promise that was not kept.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from airgap.keys import KeyRing
from airgap.reader import JournalReader
from engine.kernel import events as ev
from engine.kernel.clock import SystemClock
from engine.kernel.errors import HoldfastError
from engine.storage.redis.client import Client
from engine.storage.redis.connect import target_of
from engine.storage.redis.streams import StreamLog
from tests.chaos.fleet import Accepted


class Execution(NamedTuple):
    """A line of the effects."""

    what: str
    id: str
    pid: int
    attempt: int
    queue: str
    key: str


def executions(file: Path) -> list[Execution]:
    """All lines, in order."""
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return [Execution(what, id_, int(pid), int(attempt), of, key) for what, id_, pid, attempt, of, key in lines]


class Watcher:
    """Follows the streams of Redis on a thread of its own."""

    def __init__(self, url: str) -> None:
        self._client = Client(target_of(url, timeout=0.5), SystemClock())
        self._log = StreamLog(self._client)
        self._marks: dict[str, str] = {}
        self._stop = threading.Event()
        self._rounds = 0
        self._lock = threading.Condition()
        #: every event read, once for each time that it was written
        self.events: list[ev.Event] = []
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._client.open()
        self._thread.start()

    def close(self) -> None:
        """Follow no more."""
        self._stop.set()
        self._thread.join(5)
        self._client.close()

    def catch_up(self) -> None:
        """Wait until what is in the streams now was read."""
        with self._lock:
            seen = self._rounds
            assert self._lock.wait_for(lambda: self._rounds > seen + 1, 30), "the streams are not read"

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                idle = not self._read()
            except HoldfastError:
                idle = False
                self._stop.wait(0.05)
            if idle:
                with self._lock:
                    self._rounds += 1
                    self._lock.notify_all()
                self._stop.wait(0.02)

    def _read(self) -> bool:
        found = False
        for batch in self._log.read(self._marks):
            found = True
            self._marks[batch.stream] = batch.id
            self.events += batch.events
        return found


class Journals:
    """Reads on in the journals of nodes."""

    def __init__(self) -> None:
        self._after: dict[Path, int] = defaultdict(int)
        #: every event read
        self.events: list[ev.Event] = []

    def catch_up(self, home: Path) -> None:
        """All that a node has written down since the last time."""
        keys = KeyRing.open(home / "keys", "file", None).export_for_reader()
        reader = JournalReader(home, keys)
        try:
            for stretch in reader.read(self._after[home], 1_000_000):
                self._after[home] = stretch.number
                self.events += stretch.events
        finally:
            reader.close()


class Evidence:
    """Everything that is known, in the shape in which it is asked for."""

    def __init__(self, lines: Sequence[Execution], told: Iterable[ev.Event]) -> None:
        self.lines = lines
        self.begun = Counter(line.id for line in lines if line.what == "begin")
        self.ended = Counter(line.id for line in lines if line.what == "end")
        self.queues = {line.id: line.queue for line in lines}
        self.rescues: dict[str, set[tuple[int, int]]] = defaultdict(set)
        self.failures: dict[str, set[tuple[int, int]]] = defaultdict(set)
        self.conflicts: dict[str, set[str]] = defaultdict(set)
        self.merged: dict[str, str] = {}
        self.requests: set[str] = set()
        self.rewound = 0
        for event in told:
            self._take(event)

    def _take(self, event: ev.Event) -> None:
        if isinstance(event, ev.JobRescued):
            self.rescues[event.id].add((event.token, event.attempt))
        elif isinstance(event, ev.JobRetryScheduled | ev.JobReleased):
            self.failures[event.id].add((event.token, event.attempt))
        elif isinstance(event, ev.JobDied) and event.reason == ev.POISON:
            self.rescues[event.id].add((event.token, event.attempt))
        elif isinstance(event, ev.ConflictFound):
            self.conflicts[event.job].add(event.id)
            if event.kind == "request":
                self.requests |= {event.job, event.first, event.later}
        elif isinstance(event, ev.ResyncProved):
            assert event.equal
            self.rewound += event.rewound

    def records(self, id_: str) -> int:
        """How many executions beside one are accounted for."""
        return len(self.rescues[id_]) + len(self.failures[id_]) + len(self.conflicts[id_])

    def cut_short(self, id_: str, killed: set[int]) -> int:
        """How many executions ended with the process that was killed."""
        ended = {(line.pid, line.attempt) for line in self.lines if line.id == id_ and line.what != "begin"}
        begun = [line for line in self.lines if line.id == id_ and line.what == "begin" and line.pid in killed]
        return sum((line.pid, line.attempt) not in ended for line in begun)

    def doubles(self) -> dict[str, int]:
        """Jobs that were executed more often than once."""
        return {id_: n for id_, n in self.begun.items() if n > 1}

    def silent_doubles(self) -> dict[str, int]:
        """Of them, those that are not accounted for: how many executions there are too many."""
        return {id_: n - 1 - self.records(id_) for id_, n in self.doubles().items() if n - 1 > self.records(id_)}

    def held_doubles(self, killed: set[int]) -> set[str]:
        """Jobs of a queue that holds which processes that lived on completed more than once."""
        ends = Counter(
            line.id for line in self.lines if (line.what, line.queue) == ("end", "hold") and line.pid not in killed
        )
        return {id_ for id_, n in ends.items() if n > 1}

    def twice_requested(self, accepted: dict[str, Accepted]) -> dict[tuple[str, str], set[str]]:
        """Requests that were executed under several ids of which no conflict tells."""
        ran: dict[tuple[str, str], set[str]] = defaultdict(set)
        for line in self.lines:
            if line.what == "begin" and line.key != "-":
                ran[line.queue, line.key].add(line.id)
        return {key: ids for key, ids in ran.items() if len(ids) > 1 and not ids & self.requests}
