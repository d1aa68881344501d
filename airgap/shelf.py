"""The shelf: the sealed entries of one store, by number or by name.

Thin over diskcache: entries are written, read, replaced and deleted here and nowhere else.  Not thread-safe: whoever uses
it holds the journal's lead.  Knows nothing of keys, segments or jobs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from airgap.disk import (
    DBNAME,
    FOREIGN,
    MODE_BINARY,
    READ_ERRORS,
    SETTINGS,
    SYNC_EACH,
    SYNC_SELDOM,
    InlineDisk,
    Key,
    OneConnectionCache,
    make_private,
)
from airgap.inspection import damaged, refuse_planted_settings
from engine.kernel.errors import Stopped

#: bytes that a row costs beside its value: columns and index
ROW_BYTES = 120
#: files up to this size are looked through page by page at start
CHECKED_WHOLE = 64 * 2**20
#: what ``diskcache.Cache.add`` writes
_ADD = (
    f"INSERT INTO Cache (key, raw, store_time, access_time, size, mode, value) VALUES (?, 1, ?, ?, ?, {MODE_BINARY}, ?)"
)


class Shelf:
    """The entries of one store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._cache: OneConnectionCache | None = None
        self._sync = SYNC_EACH

    @property
    def path(self) -> Path:
        return self.folder / DBNAME

    def open(self) -> None:
        """Open or make the store; ``StoreDamaged`` if the file is no database of ours."""
        make_private(self.folder)
        try:
            refuse_planted_settings(self.path)
            self._cache = OneConnectionCache(str(self.folder), disk=InlineDisk, **SETTINGS)
            self._sync = SYNC_EACH
        except READ_ERRORS as error:
            self.close()
            raise damaged(self.path, error) from error
        for name in (DBNAME, DBNAME + "-wal", DBNAME + "-shm"):
            if (self.folder / name).exists():
                (self.folder / name).chmod(0o600)

    def close(self) -> None:
        cache, self._cache = self._cache, None
        if cache is not None:
            cache.close()

    def check(self) -> None:
        """Look through the database file's own structure; ``StoreDamaged`` if it is broken.

        Rows could vanish without a trace if only their pages were hurt, so three counts of them must agree.
        """
        try:
            if self.path.stat().st_size <= CHECKED_WHOLE:
                found = [row[0] for row in self.sql("PRAGMA quick_check(3)").fetchall()]
                if found != ["ok"]:
                    raise damaged(self.path, "; ".join(map(str, found)))
            in_table = self.sql("SELECT count(*) FROM Cache NOT INDEXED").fetchone()
            in_index = self.sql("SELECT count(*) FROM Cache INDEXED BY Cache_key_raw").fetchone()
            noted = self.sql("SELECT value FROM Settings WHERE key = 'count'").fetchone()
            self._rehearse()
        except READ_ERRORS as error:
            raise damaged(self.path, error) from error
        if not in_table == in_index == noted:
            raise damaged(self.path, f"it holds {in_table} entries, its index {in_index}, and it says {noted}")

    def _rehearse(self) -> None:
        """Write, change and delete an entry and take it all back: tables, index and triggers must be whole for that."""
        self.sql("BEGIN IMMEDIATE")
        try:
            self.sql(_ADD, (-1, 0.0, 0.0, 0, b""))
            self.sql("UPDATE Cache SET size = 1 WHERE key = -1 AND raw = 1")
            self.sql("DELETE FROM Cache WHERE key = -1 AND raw = 1")
        finally:
            self.sql("ROLLBACK")

    def add(self, key: Key, value: bytes, at: float, *, sync: bool) -> None:
        """Write a new entry: one statement that is its own transaction, as a commit should hold the interpreter up little.

        Raises ``OSError`` or ``sqlite3.Error``; then nothing is written.
        """
        self._set_sync(sync)
        try:
            self.sql(_ADD, (key, at, at, len(value), value))
        except BaseException:
            self._roll_back()
            raise

    def put(self, key: Key, value: bytes, *, sync: bool = True) -> None:
        """Write an entry, whether it is there or not."""
        with self.transaction(sync=sync):
            self._open_cache.set(key, value)

    def replace(self, entries: Iterable[tuple[Key, bytes]]) -> None:
        """Give entries other values, in one transaction; they keep their rows and the time at which they were written."""
        with self.transaction(sync=False):
            for key, value in entries:
                self.sql("UPDATE Cache SET value = ?, size = ? WHERE key = ? AND raw = 1", (value, len(value), key))

    def get(self, key: Key) -> bytes | None:
        value: bytes | None = self._open_cache.get(key)
        return value

    @contextmanager
    def transaction(self, *, sync: bool = True) -> Iterator[None]:
        """Writes inside become durable together or not at all."""
        self._set_sync(sync)
        try:
            with self._open_cache.transact():
                yield
        except BaseException:
            self._roll_back()
            raise

    def delete(self, keys: Iterable[Key]) -> None:
        """Take entries away, in one transaction; unsynced, as entries that come back do no harm."""
        with self.transaction(sync=False):
            for key in keys:
                self.sql("DELETE FROM Cache WHERE key = ? AND raw = 1", (key,))

    def numbers(self) -> list[tuple[int, int, int]]:
        """(number, row, bytes) of all numbered entries, found without trusting the index."""
        query = (
            "SELECT key, rowid, length(value) FROM Cache NOT INDEXED"
            f" WHERE typeof(key) = 'integer' AND NOT ({FOREIGN}) ORDER BY key"
        )
        return self.sql(query).fetchall()

    def row(self, row: int) -> bytes:
        """The value in a row that ``numbers`` named."""
        value: bytes = self.sql("SELECT value FROM Cache WHERE rowid = ?", (row,)).fetchone()[0]
        return value

    def oldest(self, most: int) -> list[tuple[int, int, float]]:
        """(number, bytes, wall time of writing) of the numbered entries with the lowest numbers."""
        query = (
            "SELECT key, length(value), store_time FROM Cache"
            f" WHERE raw = 1 AND key BETWEEN 0 AND {2**62} ORDER BY key LIMIT ?"
        )
        return self.sql(query, (most,)).fetchall()

    def names(self, prefix: str = "") -> list[tuple[str, int]]:
        """(name, bytes) of all named entries, found without trusting the index."""
        query = (
            "SELECT key, length(value) FROM Cache NOT INDEXED"
            f" WHERE typeof(key) = 'text' AND NOT ({FOREIGN}) ORDER BY key"
        )
        return [row for row in self.sql(query).fetchall() if row[0].startswith(prefix)]

    def listed(self, prefix: str) -> list[tuple[str, int]]:
        """``names`` by way of the index: quick however many entries there are."""
        query = "SELECT key, length(value) FROM Cache WHERE raw = 1 AND key >= ? AND key < ? ORDER BY key"
        return self.sql(query, (prefix, prefix + "\U0010ffff")).fetchall()

    def last_row(self) -> int:
        """The highest row there is."""
        return int(self.sql("SELECT max(rowid) FROM Cache").fetchone()[0] or 0)

    def rows_without(self, prefix: bytes, after: int, upto: int) -> list[tuple[Key, bytes]]:
        """Entries in rows ``after`` < row <= ``upto`` whose value does not begin with ``prefix``."""
        query = "SELECT key, value FROM Cache WHERE rowid > ? AND rowid <= ? AND raw = 1 AND substr(value, 1, ?) != ?"
        return self.sql(query, (after, upto, len(prefix), prefix)).fetchall()

    def give_back(self, pages: int) -> None:
        """Return up to ``pages`` free pages to the file system."""
        self.sql(f"PRAGMA incremental_vacuum({pages})").fetchall()

    @property
    def _open_cache(self) -> OneConnectionCache:
        if self._cache is None:
            raise Stopped(f"{self.path}: the store is closed")
        return self._cache

    def sql(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        return self._open_cache._con.execute(statement, values)

    def _set_sync(self, each: bool) -> None:
        wish = SYNC_EACH if each else SYNC_SELDOM
        if wish != self._sync:
            self.sql(f"PRAGMA synchronous = {wish}")
            self._sync = wish

    def _roll_back(self) -> None:
        cache = self._open_cache
        cache._txn_id = None
        if cache._con.in_transaction:
            cache._con.rollback()
