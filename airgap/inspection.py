"""Looking at the store's file before it is trusted: read-only, with plain SQLite, so that nothing planted has a say."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from diskcache.core import DEFAULT_SETTINGS, METADATA

from airgap.disk import READ_ERRORS
from engine.kernel.errors import StoreDamaged


def holds_entries(path: Path) -> bool:
    """Whether there is anything in the store."""
    return bool(_peek(path, "SELECT 1 FROM Cache LIMIT 1", "Cache"))


def refuse_planted_settings(path: Path) -> None:
    """diskcache makes attributes of itself from its Settings table: take only names that it knows."""
    known = DEFAULT_SETTINGS.keys() | METADATA.keys()
    names = [row[0] for row in _peek(path, "SELECT key, value FROM Settings", "Settings")]
    strange = [name for name in names if name not in known]
    if strange:
        raise StoreDamaged(
            f"{path}: its Settings table holds {strange[0]!r:.60}, which Holdfast never writes; "
            "someone changed the file: restore it from a backup"
        )


def damaged(path: Path, error: object) -> StoreDamaged:
    """What to raise when the file itself is hurt."""
    return StoreDamaged(
        f"{path}: the file is damaged ({error}); nothing was changed. "
        "Restore the folder from a backup, or move it away to start empty"
    )


def _peek(path: Path, query: str, table: str) -> list[tuple[object, ...]]:
    if not path.exists():
        return []
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)
    try:
        there = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        return connection.execute(query).fetchall() if there else []
    except READ_ERRORS as error:
        raise damaged(path, error) from error
    finally:
        connection.close()
