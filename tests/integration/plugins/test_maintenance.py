"""Pruning a real history database through the task."""

from __future__ import annotations

import threading
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from data import Database, open_database, queries
from data.recorder import Recorder
from engine import Cancel, Engine, Settings
from engine.kernel.bus import Bus
from engine.kernel.clock import FakeClock
from engine.kernel.events import Event, JobCompleted, JobDied, JobEnqueued
from engine.storage.base import Stretch
from engine.storage.memory import MemoryStore
from plugins.housekeeping import FIRST_LOOK, NEXT_LOOK, Housekeeping
from plugins.loader import load_catalog
from plugins.services import House
from tests.support.plugins import configure, functions
from tests.support.tasks import Heard, context
from tests.support.waiting import until

DAY = 86_400.0


class OneSegment:
    """An event log with all events in one segment."""

    node = ""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events

    def read(self, after: int, most: int = 64) -> Iterator[Stretch]:
        if after < 1:
            yield Stretch(1, self._events)

    def head(self) -> int:
        return 1


def ended(number: int, at: float, kind: type[JobCompleted] | type[JobDied] = JobCompleted) -> list[Event]:
    name = f"job-{number}"
    return [JobEnqueued(at, name, "q", "t", b'{"v":1}'), kind(at + 1, name, 1, 1, "a/w", at, 1.0)]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_700_000_000.0)


@pytest.fixture
def database(tmp_path: Path, clock: FakeClock) -> Iterator[Database]:
    """30 jobs that ended 40 days ago, 5 that ended 10 days ago, one that died long ago and one that waits since then."""
    now = clock.now()
    old = [event for number in range(30) for event in ended(number, now - 40 * DAY)]
    recent = [event for number in range(100, 105) for event in ended(number, now - 10 * DAY)]
    kept = [*ended(200, now - 90 * DAY, JobDied), JobEnqueued(now - 90 * DAY, "job-300", "q", "t", b'{"v":1}')]
    database = open_database("", tmp_path)
    recorder = Recorder(database, OneSegment([*old, *recent, *kept]), clock)
    recorder.catch_up()
    recorder.close()
    yield database
    database.close()


def prune(
    home: Path, database: Database, clock: FakeClock, heard: Heard | None = None, *, queues: Any = None, **args: Any
) -> dict[str, Any]:
    configure(home, "maintenance", "batch = 8")
    house = {"open_database": lambda: database, "clock": clock}
    task = functions(home, house=house, history_days=30, queues=queues or {})["maintenance.prune"]
    result: dict[str, Any] = task(context("maintenance.prune", heard), **args)
    return result


def remaining(database: Database, clock: FakeClock) -> int:
    return int(queries.count_jobs(database, now=clock.now()).n)


def test_what_ended_longer_ago_than_is_kept_goes_in_small_batches_and_the_rest_stays(
    tmp_path: Path, database: Database, clock: FakeClock
) -> None:
    heard = Heard()
    result = prune(tmp_path, database, clock, heard)
    assert (result["removed"], result["batches"], result["days"]) == (30, 4, 30)
    assert remaining(database, clock) == 7
    assert queries.job(database, "job-200") and queries.job(database, "job-300") and not queries.job(database, "job-3")
    assert [message for _, message in heard.steps[:2]] == ["8 jobs removed", "16 jobs removed"]
    assert heard.steps[-1] == (1.0, "30 jobs removed")


def test_days_given_to_the_job_count_instead_of_the_setting(
    tmp_path: Path, database: Database, clock: FakeClock
) -> None:
    assert prune(tmp_path, database, clock, days=60)["removed"] == 0
    assert prune(tmp_path, database, clock, days=5)["removed"] == 35
    assert remaining(database, clock) == 2


def test_a_wish_to_stop_is_heard_between_batches_and_what_was_removed_stays_removed(
    tmp_path: Path, database: Database, clock: FakeClock
) -> None:
    with pytest.raises(Cancel):
        prune(tmp_path, database, clock, Heard(cancel_when=lambda heard: len(heard.steps) == 2))
    assert remaining(database, clock) == 37 - 16
    assert prune(tmp_path, database, clock)["removed"] == 14


def test_a_queue_with_a_span_of_its_own_keeps_to_it(tmp_path: Path, database: Database, clock: FakeClock) -> None:
    result = prune(tmp_path, database, clock, queues={"q": {"retention": "60d"}})
    assert result["removed"] == 0
    assert prune(tmp_path, database, clock, queues={"q": {"retention": "5d"}}, days=20_000)["removed"] == 35


@pytest.fixture
def engine(tmp_path: Path, clock: FakeClock) -> Iterator[Engine]:
    """An engine that runs nothing, so that what is enqueued can be counted."""
    engine = Engine(Settings(home=tmp_path / "engine", history_days=30), store=MemoryStore(clock, Bus()), clock=clock)
    load_catalog(types.SimpleNamespace(register=engine.add), House(engine.settings))
    yield engine
    engine.stop()


def waiting(engine: Engine) -> int:
    return engine.counts().get("maintenance", {}).get("available", 0)


def test_a_day_makes_one_job_however_often_somebody_looks(engine: Engine, database: Database, clock: FakeClock) -> None:
    for _ in range(3):
        assert Housekeeping(engine, database).run_once(clock.now()) == NEXT_LOOK
    assert waiting(engine) == 1
    clock.advance(DAY)
    Housekeeping(engine, database).run_once(clock.now())
    assert waiting(engine) == 2


def test_a_history_with_nothing_to_remove_makes_no_job(tmp_path: Path, engine: Engine, clock: FakeClock) -> None:
    empty = open_database("", tmp_path / "empty")
    Housekeeping(engine, empty).run_once(clock.now())
    assert waiting(engine) == 0
    empty.close()


def test_after_pruning_there_is_nothing_old_left(tmp_path: Path, database: Database, clock: FakeClock) -> None:
    assert queries.has_old(database, clock.now(), 30)
    prune(tmp_path, database, clock)
    assert not queries.has_old(database, clock.now(), 30)


def test_housekeeping_ends_at_once_when_the_house_stops(engine: Engine, database: Database) -> None:
    with Housekeeping(engine, database).running():
        assert "housekeeping" in {thread.name for thread in threading.enumerate()}
    until(lambda: "housekeeping" not in {thread.name for thread in threading.enumerate()}, FIRST_LOOK / 2, "it ends")
