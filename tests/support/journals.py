"""Builders for tests of the journal: homes, stores, jobs, and a picture of a store's state to compare."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airgap import JournalStore, open_journal
from engine.kernel.bus import Bus
from engine.kernel.clock import Clock, FakeClock
from engine.kernel.events import Event, JobEnqueued
from engine.kernel.job import JobView, new_id
from engine.kernel.settings import Settings


def store_in(home: Path, clock: Clock | None = None, bus: Bus | None = None, **settings: Any) -> JournalStore:
    """A sealed store that is open, with its housekeeping left to the test."""
    store = open_journal(Settings(home=home, **settings), clock or FakeClock(), bus or Bus())
    store.open()
    return store


def a_job(id: str = "", queue: str = "mail", payload: bytes = b'{"v":1,"args":{}}', **fields: Any) -> JobEnqueued:
    """One that may run at once."""
    return JobEnqueued(1_700_000_000.0, id or new_id(), queue, "send", payload, **fields)


def some_jobs(count: int, **fields: Any) -> list[JobEnqueued]:
    return [a_job(**fields) for _ in range(count)]


def picture(store: JournalStore) -> dict[str, JobView]:
    """All that a store tells of its live jobs."""
    return store.get(list(store.fold.jobs))


def events_of(bus: Bus) -> list[Event]:
    """A list that fills with what the bus carries."""
    seen: list[Event] = []

    def see(events: Sequence[Event]) -> None:
        seen.extend(events)

    bus.subscribe(see)
    return seen


def database(home: Path) -> sqlite3.Connection:
    """The store's file, opened behind its back."""
    return sqlite3.connect(home / "airgap" / "cache.db", isolation_level=None)


def hurt(home: Path, number: int) -> None:
    """Flip a bit of a segment, so that it does not open any more."""
    with database(home) as connection:
        (value,) = connection.execute("SELECT value FROM Cache WHERE key = ?", (number,)).fetchone()
        changed = value[:-1] + bytes([value[-1] ^ 1])
        connection.execute("UPDATE Cache SET value = ? WHERE key = ?", (changed, number))
    connection.close()
