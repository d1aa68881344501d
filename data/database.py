"""The history database: where it is, connections to it, and bringing its tables up to date.

SQLite in WAL in the home folder unless a URL names another SQLite file or PostgreSQL.  ``open_database`` migrates; two
processes may do so at once.  SQLAlchemy is imported when the first query needs it, so that the recorder's process, which
only takes a ``plain`` connection, stays small.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.plain import BUSY_TIMEOUT, Plain, PlainPostgres, PlainSqlite, keep_zero_bytes_out
from engine.kernel.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

#: revision of the tables that this version reads and writes
REVISION = "0002"

_PREFIXES = {
    "postgresql+psycopg": "postgresql",
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "sqlite": "sqlite",
}


class Database:
    """A history database; made by ``open_database``."""

    def __init__(self, url: str, home: str | Path | None = None) -> None:
        self.dialect, rest = _split(url or "sqlite://")
        self.path: Path | None = None
        if self.dialect == "sqlite":
            self.path = _sqlite_path(rest, home)
            self.url = f"sqlite:///{self.path}"
        else:
            self.url = f"postgresql://{rest}"

    @cached_property
    def engine(self) -> Engine:
        """SQLAlchemy's engine, with a pool."""
        from sqlalchemy import create_engine, event

        url = self.url if self.path else self.url.replace("postgresql://", "postgresql+psycopg://", 1)
        engine = create_engine(url, pool_size=5, max_overflow=5, pool_pre_ping=self.path is None)
        if self.path:
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        else:
            event.listen(engine, "connect", keep_zero_bytes_out)
        return engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection whose statements see one state of the database."""
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes; committed at the end unless it raises."""
        with self.engine.connect().execution_options(holdfast_writes=True) as connection, connection.begin():
            yield connection

    def plain(self) -> Plain:
        """A bare connection for the recorder."""
        return PlainSqlite(str(self.path)) if self.path else PlainPostgres(self.url)

    def close(self) -> None:
        """Close the pool; the database can be used again."""
        if "engine" in self.__dict__:
            self.engine.dispose()
            del self.__dict__["engine"]

    def __repr__(self) -> str:
        return f"Database({_without_password(self.url)})"


def open_database(url: str, home: str | Path | None = None, *, migrate: bool = True) -> Database:
    """The history database at ``url`` ("" for SQLite under ``home``), with its tables up to date.

    ``migrate=False`` takes it as it is: for processes started by one that has migrated.  Raises ``SettingsError`` when it
    cannot be reached or was written by a newer version.
    """
    database = Database(url, home)
    if database.path:
        _create_file(database.path)
    if migrate:
        try:
            _bring_up_to_date(database)
        except BaseException:
            database.close()
            raise
    return database


def revision(database: Database) -> str | None:
    """The revision that the tables have; ``None`` before the first migration."""
    plain = database.plain()
    try:
        rows = plain.all("SELECT version_num FROM alembic_version")
    except Exception as error:
        if "alembic_version" not in str(error):
            raise
        return None
    finally:
        plain.close()
    return str(rows[0][0]) if rows else None


def _bring_up_to_date(database: Database) -> None:
    where = _without_password(database.url)
    try:
        if database.path:
            _use_wal(database.path)
        if revision(database) != REVISION:
            _migrate(database)
    except SettingsError:
        raise
    except Exception as error:
        if isinstance(error, OSError | sqlite3.Error) or type(error).__module__.startswith(("psycopg", "sqlalchemy")):
            raise SettingsError(f"database: cannot use {where}: {_one_line(error)}; check --database") from error
        raise


def _migrate(database: Database) -> None:
    """Run Alembic inside one transaction that keeps every other process out."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError
    from sqlalchemy import text

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    with database.writing() as connection:
        if database.path is None:
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('holdfast migrations'))"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            where = _without_password(database.url)
            raise SettingsError(
                f"database: {where} was written by another version ({error}); use that version or another --database"
            ) from error


def _split(url: str) -> tuple[str, str]:
    scheme, colon, rest = url.partition("://")
    dialect = _PREFIXES.get(scheme)
    if not colon or dialect is None:
        raise SettingsError(
            f"database: expected sqlite:///path or postgresql://user:password@host/name, got {_without_password(url)[:80]!r}"
        )
    return dialect, rest


def _sqlite_path(rest: str, home: str | Path | None) -> Path:
    if rest.lstrip("/"):
        return Path(rest[1:])
    if home is None:
        raise SettingsError("database: no file named and no home folder given; use sqlite:///path")
    return Path(home) / "holdfast.db"


def _create_file(path: Path) -> None:
    """Make the file readable by its owner only before SQLite writes to it; its companions get the same mode."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise SettingsError(f"database: cannot write {path}: {error.strerror}; check --home or --database") from error


def _use_wal(path: Path) -> None:
    """Switch to WAL; SQLite does not wait for another process that does the same, so we do."""
    pause = threading.Event()
    for attempt in range(200):
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or attempt == 199:
                raise
            pause.wait(0.02)
        finally:
            connection.close()


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    for pragma in (f"busy_timeout = {BUSY_TIMEOUT}", "synchronous = FULL", "cache_size = -8000", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Any) -> None:
    writes = connection.get_execution_options().get("holdfast_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if rest else url


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split("\n(Background")[0].split())[:300]
