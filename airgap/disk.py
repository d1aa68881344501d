"""diskcache, hardened, on one connection: where sealed entries lie.

Invariants: keys are ``str`` or ``int`` and values are bytes inside the database, nothing is ever unpickled and no file
beside the database is read or written, whatever somebody has planted in it; nothing is evicted.  Knows nothing of keys,
segments or jobs.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import diskcache

from engine.kernel.errors import StoreDamaged

Key = int | str
#: diskcache's database file, and its mark for a value of bytes
DBNAME = "cache.db"
MODE_BINARY = 2
#: what a database whose file was damaged may fail with
READ_ERRORS = (sqlite3.Error, diskcache.Timeout, UnicodeDecodeError)
#: how SQLite syncs: each commit, or only when the write-ahead log is folded back (survives the process, not the power)
SYNC_EACH, SYNC_SELDOM = 2, 1

SETTINGS: dict[str, int | str] = {
    "sqlite_synchronous": SYNC_EACH,
    "sqlite_auto_vacuum": 2,
    "sqlite_cache_size": 2048,
    "sqlite_journal_mode": "wal",
    "sqlite_mmap_size": 0,
    "eviction_policy": "none",
    "cull_limit": 0,
    "statistics": 0,
    "tag_index": 0,
    "disk_min_file_size": 2**30,
    "disk_pickle_protocol": 0,
}


#: rows that Holdfast did not write: it writes bytes, inline, under numbers and texts
FOREIGN = (
    f"raw IS NOT 1 OR mode IS NOT {MODE_BINARY} OR filename IS NOT NULL"
    " OR typeof(value) != 'blob' OR typeof(key) NOT IN ('integer', 'text')"
)


class InlineDisk(diskcache.Disk):  # type: ignore[misc]
    """Keys as they are, values inline; everything else is refused."""

    def put(self, key: object) -> tuple[Key, bool]:
        if type(key) is int or type(key) is str:
            return key, True
        raise TypeError(f"keys are str or int, got {type(key).__name__}")

    def get(self, key: object, raw: object) -> Key:
        if raw and isinstance(key, int | str):
            return key
        raise StoreDamaged(f"a key of the store was not written by Holdfast ({type(key).__name__})")

    def store(self, value: object, read: bool, key: object = None) -> tuple[int, int, None, bytes]:
        if type(value) is bytes and not read:
            return len(value), MODE_BINARY, None, value
        raise TypeError(f"values are bytes, got {type(value).__name__}")

    def fetch(self, mode: int, filename: str | None, value: object, read: bool) -> bytes:
        if mode == MODE_BINARY and filename is None and type(value) is bytes and not read:
            return value
        raise StoreDamaged("a value of the store was not written by Holdfast")

    def filename(self, key: object = None, value: object = None) -> tuple[str, str]:
        raise TypeError("values are never kept in files")

    def remove(self, file_path: str) -> None:
        """Nothing is kept in files, so a file name in the database was planted: leave that file alone."""


class OneConnectionCache(diskcache.Cache):  # type: ignore[misc]
    """A cache on a single connection that any thread may use in turn."""

    _one: sqlite3.Connection | None = None

    @property
    def _con(self) -> sqlite3.Connection:
        if self._one is None:
            path = os.path.join(self._directory, DBNAME)
            self._one = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
            self._one.execute("PRAGMA trusted_schema = OFF")
            for name, value in SETTINGS.items():
                if name.startswith("sqlite_"):
                    self._one.execute(f"PRAGMA {name[7:]} = {value}").fetchall()
        return self._one

    def close(self) -> None:
        one, self._one = self._one, None
        if one is not None:
            one.close()


def make_private(folder: Path) -> None:
    """Make a folder that only its owner may enter."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)
