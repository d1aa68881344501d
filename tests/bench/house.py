"""The whole house in this process, composed as ``run.py`` composes it: sealed journal, workers, console parts, and the
recorder in its own process.  Benches must not measure less than what a user runs.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import run
from airgap.view import CONNECTED, air_of
from console.cli import start
from console.context import Console
from data import queries
from engine import Engine, JobRequest, Settings
from engine.kernel.events import Event, JobCompleted
from tests.bench import work

TOKEN = "a-token-for-benchmarks"
_pause = threading.Event()
T = TypeVar("T")


def settings(home: Path, **options: Any) -> Settings:
    """Settings of a house that listens on a free port of loopback."""
    return Settings(
        home=home, port=0, browser=False, admin_token=TOKEN, tasks=(work.__name__,), log_level="warning", **options
    )


@contextlib.contextmanager
def house(home: Path, **options: Any) -> Iterator[Console]:
    """Everything around an engine that is not started yet."""
    made = settings(home, **options)
    with contextlib.ExitStack() as parts:
        start.prepare(made)
        yield run.compose(made, parts)


def requests(count: int, first: int = 0) -> list[JobRequest]:
    """Requests for no-op jobs."""
    return [JobRequest(work.noop.name, {"n": first + n, "text": work.TEXT}) for n in range(count)]


def fill(engine: Engine, count: int) -> None:
    """Enqueue ``count`` no-op jobs."""
    for first in range(0, count, 10_000):
        engine.enqueue_many(requests(min(10_000, count - first), first))


class Finished:
    """Counts ends of attempts as they become durable, from the bus, on which several threads publish."""

    def __init__(self, engine: Engine, wanted: int) -> None:
        self._lock = threading.Lock()
        self._left = wanted
        self._wanted = wanted
        self._all = threading.Event()
        #: when the last one was durable
        self.at = 0.0
        self._leave = engine.bus.subscribe(self._see)

    def _see(self, events: Sequence[Event]) -> None:
        ended = sum(type(event) is JobCompleted for event in events)
        with self._lock:
            self._left -= ended
        if self._left <= 0 and not self.at:
            self.at = time.perf_counter()
            self._all.set()

    def wait(self, seconds: float) -> float:
        """When the last outcome was durable.  Raises ``AssertionError`` if that takes longer."""
        done = self._all.wait(seconds)
        self._leave()
        assert done, f"{self._left} of {self._wanted} jobs had not ended after {seconds:g} s"
        return self.at


def until(condition: Callable[[], T], seconds: float, what: str) -> T:
    """The first true value of ``condition``, looked at each few milliseconds."""
    deadline = time.perf_counter() + seconds
    while not (value := condition()):
        assert time.perf_counter() < deadline, f"not within {seconds:g} s: {what}"
        _pause.wait(0.005)
    return value


def history_is_level(console: Console, seconds: float = 120.0) -> float:
    """Wait until history has all that the log had when asked; returns when it had."""
    head = int(str(console.engine.store.facts()["segment"]))
    until(lambda: queries.recorded(console.database)[0] >= head, seconds, "history is level with the log")
    return time.perf_counter()


def history_has(console: Console, jobs: int, state: str, seconds: float = 120.0) -> float:
    """Wait until history knows so many jobs of the bench's queue in this state; returns when it did.

    Alone, the log says when there is nothing left to follow; with a Redis, part of what happened comes by its streams.
    """
    if not console.settings.redis:
        level = history_is_level(console, seconds)
        known = in_history(console.settings.home, state)
        assert known == jobs, f"history knows {known} of {jobs} jobs as {state}"
        return level
    until(lambda: in_history(console.settings.home, state) == jobs, seconds, f"history knows all jobs as {state}")
    return time.perf_counter()


def in_history(home: Path, state: str, queue: str = work.QUEUE) -> int:
    """Jobs of the queue that history knows in this state, in their first attempt if they ran."""
    connection = sqlite3.connect(home / "holdfast.db")
    with contextlib.closing(connection):
        rows = connection.execute(
            "SELECT count(*) FROM jobs WHERE queue = ? AND state = ? AND attempt <= 1 AND rescues = 0", (queue, state)
        )
        return int(rows.fetchone()[0])


def linked(console: Console) -> None:
    """Wait until the house is connected to its Redis, if it has one."""
    if console.settings.redis:
        until(lambda: air_of(console.engine.store).state == CONNECTED, 30, "the link to Redis stands")
