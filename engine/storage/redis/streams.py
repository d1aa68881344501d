"""The streams of Redis as a log that can be followed from marks: one of each queue, and the fleet's.

The id of an entry ends in its number, and numbers have no gaps: a reader that finds a later number than the next one after
its mark knows how many entries were trimmed before it came, and one that finds an earlier number that Redis' history is
another one.  Readers say how far they are, so that trimming takes what nobody lacks first.  One thread reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.kernel.clock import Clock, SystemClock
from engine.storage.redis.client import Client
from engine.storage.redis.entries import Batch, Gap, Reading
from engine.storage.redis.scripts import script

#: before the first entry
BEGINNING = "0-0"
#: entries of each stream in one round
ENTRIES = 64
#: seconds between two looks for new queues
NAMES_SECONDS = 1.0
#: seconds that a round waits for one of a Cluster's streams, before it looks at the others again
CLUSTER_SECONDS = 0.1

Entry = tuple[str, str, Mapping[bytes, bytes]]


class StreamLog:
    """Reads all streams of a fleet."""

    def __init__(self, client: Client, fleet: str = "main", reader: str = "", clock: Clock | None = None) -> None:
        self._client = client
        self._fleet = fleet
        self._reader = reader
        self._clock = clock or SystemClock()
        self._reading = Reading()
        self._queues: list[str] = []
        self._asked_at = -NAMES_SECONDS

    def read(self, marks: Mapping[str, str], most: int = ENTRIES, timeout: float = 0.0) -> Iterator[Batch]:
        """Up to ``most`` entries of each stream after its mark; if there is none, waits up to ``timeout`` seconds for one.
        Raises ``Unreachable``."""
        marks = dict(marks)
        for stream, id_, fields in self._entries(marks, most, timeout):
            gap = gap_between(marks.get(stream, BEGINNING), id_)
            marks[stream] = id_
            yield self._reading.batch(stream, id_, fields, gap)

    def acknowledge(self, marks: Mapping[str, str]) -> int:
        """Say how far this reader is; returns how many entries it lacks.  Raises ``Unreachable``."""
        return self._lag(marks, self._reader)

    def pending(self, marks: Mapping[str, str]) -> int:
        """How many entries come after the marks.  Raises ``Unreachable``."""
        return self._lag(marks, "")

    def streams(self) -> list[str]:
        """Names of all streams.  Raises ``Unreachable``."""
        now = self._clock.monotonic()
        if now - self._asked_at >= NAMES_SECONDS:
            names = self._client.command("SMEMBERS", f"{self._tag('')}queues")
            self._queues = sorted([name.decode() for name in names])
            self._asked_at = now
        return ["", *self._queues]

    # --- entries ---

    def _entries(self, marks: Mapping[str, str], most: int, timeout: float) -> list[Entry]:
        streams = self.streams()
        if not self._client.cluster:
            return self._ask(streams, marks, most, timeout)
        found = [entry for stream in streams for entry in self._ask([stream], marks, most, 0.0)]
        if found or not timeout:
            return found
        newest = max(streams, key=lambda stream: marks.get(stream, BEGINNING))
        return self._ask([newest], marks, most, min(timeout, CLUSTER_SECONDS))

    def _ask(self, streams: Sequence[str], marks: Mapping[str, str], most: int, timeout: float) -> list[Entry]:
        """Entries of streams that one server has."""
        keys = [f"{self._tag(stream)}ev" for stream in streams]
        after = [marks.get(stream, BEGINNING) for stream in streams]
        block = ("BLOCK", max(1, round(timeout * 1000))) if timeout > 0 else ()
        asked = ("COUNT", most, *block, "STREAMS", *keys, *after)
        if block:
            answer = self._client.blocking(timeout, "XREAD", *asked, key=keys[0])
        else:
            answer = self._client.command("XREAD", *asked, key=keys[0])
        return list(self._told(answer, dict(zip(keys, streams, strict=True))))

    def _told(self, answer: Any, streams: Mapping[str, str]) -> Iterator[Entry]:
        for key, entries in answer or ():
            for id_, fields in entries:
                yield streams[key.decode()], id_.decode(), dict(zip(fields[::2], fields[1::2], strict=True))

    def _lag(self, marks: Mapping[str, str], reader: str) -> int:
        streams, follow = self.streams(), script("follow")
        answers = self._client.pipeline(
            [(follow, self._tag(stream), ("", reader, marks.get(stream, BEGINNING))) for stream in streams]
        )
        return sum(
            _lacking(marks.get(stream, BEGINNING), answer) for stream, answer in zip(streams, answers, strict=True)
        )

    def _tag(self, stream: str) -> str:
        return f"{{hf:{self._fleet}:{stream}}}:" if stream else f"{{hf:{self._fleet}}}:"


def gap_between(mark: str, id_: str) -> Gap | None:
    """What is missing between a mark and the entry that was read after it."""
    known, number = _number(mark), _number(id_)
    if number == known + 1:
        return None
    missing = number - known - 1 if number > known else -1
    return Gap(missing, mark, id_, int(mark.split("-")[0]) / 1000)


def _lacking(mark: str, written: Any) -> int:
    if isinstance(written, Exception):
        raise written
    lacking = int(written) - _number(mark)
    return lacking if lacking >= 0 else int(written)


def _number(id_: str) -> int:
    return int(id_.split("-")[1])
