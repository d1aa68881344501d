"""What was set aside: entries that could not be opened, kept as they were and never read again by Holdfast.

They lie in a table of their own beside the entries; also what was only found missing is written down here, so that
everything is reported once.  Who has looked at it is kept beside the jobs, as a sealed value.
"""

from __future__ import annotations

import msgspec

from airgap.disk import FOREIGN, Key
from airgap.shelf import Shelf

_TABLE = """
CREATE TABLE IF NOT EXISTS Quarantine (
    id INTEGER PRIMARY KEY, at REAL, what TEXT, reason TEXT,
    key BLOB, raw INTEGER, mode INTEGER, filename TEXT, value BLOB)
"""
_STRANGE = "not written by Holdfast (pickled, in a file, or of a strange type)"


class Quarantined(msgspec.Struct, frozen=True):
    """Something that was set aside."""

    at: float
    what: str
    reason: str
    #: counts up; 0 until it was written down
    id: int = 0


class Acknowledged(msgspec.Struct, frozen=True):
    """Up to where somebody has looked at what was set aside.

    Number *and* time, so that if rows were taken out by hand and numbers begin anew, nothing new passes for known.
    """

    id: int
    at: float

    def covers(self, item: Quarantined) -> bool:
        return item.id <= self.id and item.at <= self.at


#: the value of the store in which the above is kept
ACKNOWLEDGED = "quarantine-acknowledged"
#: before anybody has looked
NOTHING = Acknowledged(0, 0.0)


class Quarantine:
    """The table, made when it is first asked for.  Used as the shelf is."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        shelf.sql(_TABLE)

    def take(self, key: Key, what: str, reason: str, at: float) -> Quarantined:
        """Move an entry here."""
        return self._take("key = ? AND raw = 1", (key,), Quarantined(at, what, reason))

    def take_foreign(self, at: float) -> list[Quarantined]:
        """Move here all rows that were not written by Holdfast."""
        rows = self._shelf.sql(f"SELECT rowid FROM Cache NOT INDEXED WHERE {FOREIGN}").fetchall()
        return [self._take("rowid = ?", (row,), Quarantined(at, f"row {row}", _STRANGE)) for (row,) in rows]

    def note(self, what: str, reason: str, at: float) -> Quarantined:
        """Write down that something is gone or garbled."""
        with self._shelf.transaction():
            self._shelf.sql("INSERT INTO Quarantine (at, what, reason) VALUES (?, ?, ?)", (at, what, reason))
        return Quarantined(at, what, reason)

    def items(self) -> list[Quarantined]:
        """All that was ever set aside, oldest first."""
        rows = self._shelf.sql("SELECT at, what, reason, id FROM Quarantine ORDER BY id").fetchall()
        return [Quarantined(*row) for row in rows]

    def prefixes(self, size: int) -> set[bytes]:
        """The first ``size`` bytes of each value that is here."""
        query = "SELECT DISTINCT substr(CAST(value AS BLOB), 1, ?) FROM Quarantine WHERE value IS NOT NULL"
        return {row[0] for row in self._shelf.sql(query, (size,)).fetchall()}

    def last_number(self) -> int:
        """The highest number of an entry that is here; 0 if there is none."""
        query = "SELECT max(key) FROM Quarantine WHERE typeof(key) = 'integer'"
        return int(self._shelf.sql(query).fetchone()[0] or 0)

    def _take(self, where: str, values: tuple[object, ...], item: Quarantined) -> Quarantined:
        with self._shelf.transaction():
            self._shelf.sql(
                "INSERT INTO Quarantine (at, what, reason, key, raw, mode, filename, value)"
                f" SELECT ?, ?, ?, key, raw, mode, filename, value FROM Cache WHERE {where}",
                (item.at, item.what, item.reason, *values),
            )
            self._shelf.sql(f"DELETE FROM Cache WHERE {where}", values)
        return item
