"""The backends that the contract is checked on, and short ways to say what a test wants."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from airgap.storage import open_journal
from engine.kernel import events as ev
from engine.kernel.bus import Bus
from engine.kernel.clock import Clock, FakeClock
from engine.kernel.job import Job, new_id
from engine.kernel.settings import Settings
from engine.storage.base import Claim, Store, Want
from engine.storage.memory import MemoryStore
from engine.storage.redis.client import Client
from engine.storage.redis.connect import target_of
from engine.storage.redis.store import RedisStore

#: those that need nothing but a home, and those that need a Redis
LOCAL = ("memory", "journal")
REMOTE = ("redis", "redis-cluster")
BACKENDS = (*LOCAL, *REMOTE)
EVERYTHING = 1_000_000
#: seconds that Redis may take: more than a busy machine keeps it standing still
ANSWER = 10.0


def open_store(backend: str, home: Path, clock: Clock, bus: Bus | None = None, **settings: Any) -> Store:
    """A backend, opened.  The memory one forgets; a journal opened again on the same home remembers."""
    bus = bus or Bus()
    if backend == "memory":
        known = {name: settings[name] for name in ("result_limit", "result_ttl", "idempotency_ttl") if name in settings}
        return MemoryStore(clock, bus, **known)
    store = open_journal(dataclasses.replace(Settings(home=home), **settings), clock, bus)
    store.open()
    return store


def redis_store(url: str, clock: Clock, bus: Bus | None = None, *, fleet: str = "", **options: Any) -> RedisStore:
    """A store over a Redis, opened; in a fleet of its own unless one is named, so that it finds nothing there."""
    store = RedisStore(Client(target_of(url, timeout=ANSWER), clock), clock, bus, fleet=fleet or new_id(), **options)
    store.open()
    return store


def enqueued(clock: Clock, **fields: Any) -> ev.JobEnqueued:
    """A request for a job of task ``t`` in queue ``q``, with some fields set."""
    made: dict[str, Any] = {"at": clock.now(), "id": new_id(), "queue": "q", "task": "t", "payload": b"{}"}
    return ev.JobEnqueued(**(made | {"max_attempts": 3} | fields))


def claim(store: Store, most: int = 1, queue: str = "q", agent: str = "a") -> Claim | None:
    """A claim from one queue."""
    return store.claim(Want({queue: EVERYTHING}, agent, most))


def claimed_ids(store: Store, most: int = 1, queue: str = "q") -> list[str]:
    """Ids of the jobs that a claim takes, in order."""
    taken = claim(store, most, queue)
    return [] if taken is None else [job.id for job in taken.jobs]


def end(kind: type[ev.AttemptEnded], job: Job, token: int, clock: Clock, **fields: Any) -> ev.AttemptEnded:
    """An end of the attempt that ``token`` holds."""
    return kind(clock.now(), job.id, token, job.attempt, "a/1", clock.now(), 0.1, **fields)


def fake_clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()
