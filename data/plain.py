"""A bare connection for the recorder: two drivers, one small face, and no SQLAlchemy in that process's memory.

Statements are written with ``?`` for values; ``{ids}`` stands for "one of a list of texts or numbers".
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import msgspec

Row = tuple[Any, ...]

#: Python's own ways to say that a value does not fit
UNFIT: tuple[type[Exception], ...] = (OverflowError, ValueError, TypeError)

#: milliseconds that a writer waits for another one
BUSY_TIMEOUT = 10_000
#: recorders take turns on PostgreSQL by this advisory lock
RECORDER_LOCK = 0x486F6C6466617374


class Plain(Protocol):
    """What the recorder needs of a database."""

    #: what the driver raises when a row with that key is there already
    duplicate: type[Exception]
    #: what it raises for values that no column of ours can hold, however often they are tried
    unfit: tuple[type[Exception], ...]

    def begin(self) -> None:
        """Open a transaction that writes; one at a time."""

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def all(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """The rows of one statement."""

    def among(self, statement: str, ids: Sequence[Any]) -> list[Row]:
        """The rows of a statement with ``{ids}`` in it."""

    def many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """One statement for each row of values."""

    def close(self) -> None: ...


class PlainSqlite:
    """SQLite, in WAL, synced at checkpoints: what a power cut takes back, the log still has."""

    duplicate: type[Exception] = sqlite3.IntegrityError
    unfit: tuple[type[Exception], ...] = (sqlite3.DataError, sqlite3.InterfaceError, *UNFIT)

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=64)
        for pragma in (
            f"busy_timeout = {BUSY_TIMEOUT}",
            "synchronous = NORMAL",
            "cache_size = -10000",
            "wal_autocheckpoint = 4000",
            "temp_store = MEMORY",
        ):
            self._connection.execute(f"PRAGMA {pragma}")

    def begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        self._connection.rollback()

    def all(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        return self._connection.execute(statement, values).fetchall()

    def among(self, statement: str, ids: Sequence[Any]) -> list[Row]:
        asked = msgspec.json.encode(ids).decode()
        return self.all(statement.replace("{ids}", "(SELECT value FROM json_each(?))"), (asked,))

    def many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        self._connection.executemany(statement, rows)

    def close(self) -> None:
        self._connection.close()


class PlainPostgres:
    """PostgreSQL through psycopg, whose ``executemany`` is pipelined."""

    def __init__(self, url: str) -> None:
        import psycopg

        self.duplicate: type[Exception] = psycopg.errors.UniqueViolation
        self.unfit: tuple[type[Exception], ...] = (psycopg.DataError, *UNFIT)
        self._connection: psycopg.Connection[Row] = psycopg.connect(url, autocommit=True, application_name="holdfast")
        keep_zero_bytes_out(self._connection)

    def begin(self) -> None:
        self._connection.execute("BEGIN")
        self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (RECORDER_LOCK,))

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        if not self._connection.closed:
            self._connection.execute("ROLLBACK")

    def all(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        cursor = self._connection.execute(_percent(statement), values)
        return cursor.fetchall() if cursor.description else []

    def among(self, statement: str, ids: Sequence[Any]) -> list[Row]:
        return self.all(statement.replace("IN {ids}", "= ANY(?)"), (list(ids),))

    def many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(_percent(statement), rows)

    def close(self) -> None:
        self._connection.close()


def keep_zero_bytes_out(connection: Any, _record: object = None) -> None:
    """Let a psycopg connection replace zero bytes in texts: PostgreSQL cannot hold them and would refuse the row."""
    from psycopg.types.string import StrDumper

    class WithoutZeroBytes(StrDumper):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}"))

    connection.adapters.register_dumper(str, WithoutZeroBytes)


def _percent(statement: str) -> Any:
    return statement.replace("?", "%s")
