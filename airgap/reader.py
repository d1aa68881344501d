"""Following the journal from another process: reads sealed segments by number, writes nothing.

Keys come over a pipe (``KeyRing.export_for_reader``).  After a rotation an entry may be sealed with a key that this
reader was not given: ``UnknownKey`` is raised, and whoever runs it starts it anew with the present keys.  Segments that
were trimmed before they were read are passed by without a word: their numbers are simply missing.  Ones that do not open
are logged, named in ``damaged`` and passed over, as the owner does at its next start.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from airgap.disk import DBNAME, MODE_BINARY
from airgap.keys import KeyExport
from airgap.segment import OpenedSegment, SegmentReader, UnknownKey
from engine.kernel.errors import StoreDamaged
from engine.storage.base import Stretch

log = logging.getLogger("holdfast.journal")

#: segments fetched in one query: a large one takes more than a megabyte
FETCH = 8
_READ = (
    "SELECT key, value FROM Cache WHERE raw = 1 AND key > ? AND typeof(key) = 'integer'"
    f" AND mode = {MODE_BINARY} AND typeof(value) = 'blob' ORDER BY key LIMIT ?"
)
_HEAD = "SELECT max(key) FROM Cache WHERE raw = 1 AND key >= 0 AND typeof(key) = 'integer'"


class JournalReader:
    """Implements ``engine.storage.base.EventLog`` over the files of a home.  Not thread-safe."""

    def __init__(self, home: Path | str, keys: bytes) -> None:
        self.path = Path(home) / "airgap" / DBNAME
        export = msgspec.msgpack.decode(keys, type=KeyExport)
        self.node = export.node
        self._sealer = export.sealer()
        self._reader = SegmentReader()
        self._connection: sqlite3.Connection | None = None
        #: numbers of segments that were there and did not open
        self.damaged: list[int] = []

    def read(self, after: int, most: int = 64) -> Iterator[Stretch]:
        """Up to ``most`` segments of events with numbers above ``after``, in order.  Raises ``UnknownKey``."""
        for number, segment in self.segments(after, most):
            yield Stretch(number, ()) if segment is None else Stretch(number, segment.events, _first(segment))

    def segments(self, after: int, most: int = 64) -> Iterator[tuple[int, OpenedSegment | None]]:
        """As ``read``, whole segments; ``None`` for one that does not open."""
        for number, body in self.bodies(after, most):
            try:
                segment = None if body is None else self._reader.read(number, body)
            except StoreDamaged as error:
                segment = None
                self._pass_over(number, error)
            yield number, segment

    def bodies(self, after: int, most: int = 64) -> Iterator[tuple[int, bytes | None]]:
        """As ``read``, the bodies of segments as they were written; ``None`` for one that does not open."""
        mark = max(0, after)
        while most > 0 and (rows := self._rows(_READ, (mark, min(most, FETCH)))):
            for mark, entry in rows:
                yield mark, self._opened(mark, entry)
            most -= len(rows)

    def _opened(self, number: int, entry: bytes) -> bytes | None:
        try:
            return self._sealer.open("segment", number, entry)
        except UnknownKey:
            raise
        except StoreDamaged as error:
            self._pass_over(number, error)
            return None

    def _pass_over(self, number: int, error: StoreDamaged) -> None:
        log.error("%s: %s; passed over", self.path, error)
        self.damaged.append(number)

    def head(self) -> int:
        """Number of the last durable segment; 0 if there is none."""
        rows = self._rows(_HEAD, ())
        return int(rows[0][0] or 0) if rows else 0

    def close(self) -> None:
        """Let go of the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _rows(self, query: str, values: tuple[int, ...]) -> list[tuple[int, bytes]]:
        if self._connection is None:
            if not self.path.exists():
                return []
            address = f"{self.path.absolute().as_uri()}?mode=ro"
            self._connection = sqlite3.connect(
                address, uri=True, timeout=10, isolation_level=None, check_same_thread=False
            )
        return self._connection.execute(query, values).fetchall()


def _first(segment: OpenedSegment) -> int:
    """Number of the first event that was read; those that make no sense were left out, so that counting goes from the last:
    an event may then be taken for a later one, never for one that is known."""
    return segment.first + segment.count - len(segment.events)
