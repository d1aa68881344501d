from __future__ import annotations

import statistics
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

import pytest

from engine.kernel import events as ev
from engine.kernel.clock import FakeClock, SystemClock
from engine.storage.memory import MemoryStore
from engine.testing import FaultyStore
from engine.workers.feeder import Feeder
from engine.workers.finisher import BACKLOG, STARTS_AFTER, Finisher
from tests.support.journals import events_of
from tests.support.waiting import until
from tests.unit.engine.workers.rooms import Started, claim, completed, put

clock = SystemClock()


class Room:
    """A finisher over a store that fails when it is told to."""

    def __init__(self) -> None:
        self.store = FaultyStore(MemoryStore(clock))
        self.seen = events_of(cast("Any", self.store).bus)
        self.feeder = Feeder(cast("Any", self.store), "a")
        self.finisher = Finisher(cast("Any", self.store), self.feeder, clock)

    def jobs(self, count: int) -> list[tuple[Any, int]]:
        put(cast("Any", self.store), clock, count)
        taken = claim(cast("Any", self.store), count)
        return [(job, taken.token) for job in taken.jobs]


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room()
    yield room
    room.store.heal()
    room.finisher.stop(30)


def ends(room: Room) -> Counter[str]:
    return Counter(event.id for event in room.seen if isinstance(event, ev.AttemptEnded))


def test_words_are_written_before_the_end_of_their_attempt(room: Room) -> None:
    [(job, token)] = room.jobs(1)
    room.finisher.said(ev.JobProgressed(clock.now(), job.id, 1, 0.5))
    room.finisher.ended(completed(job, token, clock))
    room.finisher.start()
    until(lambda: ends(room))
    assert [type(event) for event in room.seen[-2:]] == [ev.JobProgressed, ev.JobCompleted]


def test_a_start_whose_end_has_come_is_not_written_and_one_that_lasts_is(room: Room) -> None:
    short, long = room.jobs(2)
    for job, token in (short, long):
        room.finisher.started(job.id, Started(job, token, clock))
    room.finisher.ended(completed(*short, clock))
    room.finisher.start()
    until(lambda: [event for event in room.seen if isinstance(event, ev.JobStarted)])
    [start] = [event for event in room.seen if isinstance(event, ev.JobStarted)]
    assert start.id == long[0].id
    room.finisher.ended(completed(*long, clock))
    until(lambda: len(ends(room)) == 2)


def test_a_start_is_not_written_before_its_time() -> None:
    still = FakeClock()
    store = MemoryStore(still)
    seen = events_of(store.bus)
    finisher = Finisher(store, Feeder(store, "a"), still)
    put(store, still, 2)
    taken = claim(store, 2)
    for job in taken.jobs:
        finisher.started(job.id, Started(job, taken.token, still))
    finisher.ended(completed(taken.jobs[0], taken.token, still))
    still.advance(STARTS_AFTER + 0.01)
    finisher.start()
    finisher.stop(30)
    assert [type(event) for event in seen if not isinstance(event, (ev.JobEnqueued, ev.JobsClaimed))] == [
        ev.JobStarted, ev.JobCompleted,
    ]  # fmt: skip
    assert next(event for event in seen if isinstance(event, ev.JobStarted)).id == taken.jobs[1].id


def test_a_store_that_fails_twice_loses_and_doubles_nothing(room: Room) -> None:
    jobs = room.jobs(30)
    room.store.fail(ConnectionError("gone"), on="exchange", times=2)
    room.finisher.start()
    for job, token in jobs:
        room.finisher.said(ev.JobLogged(clock.now(), job.id, 1, [(0.0, "info", "x")]))
        room.finisher.ended(completed(job, token, clock))
    until(lambda: len(ends(room)) == 30)
    assert set(ends(room).values()) == {1}
    assert len([event for event in room.seen if isinstance(event, ev.JobLogged)]) == 30
    assert room.finisher.tokens() == set()


def test_a_claim_counts_as_held_until_its_ends_are_written(room: Room) -> None:
    [(job, token)] = room.jobs(1)
    room.store.disconnect()
    room.finisher.ended(completed(job, token, clock))
    assert room.finisher.tokens() == {token}
    room.finisher.start()
    until(lambda: room.store.calls["exchange"])
    assert room.finisher.tokens() == {token}, "it failed and is tried again"
    room.store.reconnect()
    until(lambda: not room.finisher.tokens())


def test_workers_wait_while_the_backlog_is_long(room: Room) -> None:
    jobs = room.jobs(BACKLOG + 10)
    handed: list[int] = []

    def work() -> None:
        for number, (job, token) in enumerate(jobs):
            room.finisher.ended(completed(job, token, clock))
            handed.append(number)

    worker = threading.Thread(target=work)
    worker.start()
    until(lambda: len(handed) == BACKLOG)
    worker.join(0.2)
    assert worker.is_alive() and len(handed) == BACKLOG, "it is held back"
    room.finisher.start()
    worker.join(30)
    until(lambda: len(ends(room)) == BACKLOG + 10)


def test_a_late_end_is_dropped_and_told(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    [(job, token)] = room.jobs(1)
    room.finisher.ended(completed(job, token, clock))
    room.finisher.ended(completed(job, token, clock))
    room.finisher.start()
    until(lambda: "outcome counts no more" in caplog.text)
    assert set(ends(room).values()) == {1}


@pytest.mark.parametrize("released", [True, False], ids=["handed back", "done"])
def test_jobs_are_brought_along_for_workers_that_became_free_and_for_nobody_else(room: Room, released: bool) -> None:
    [(job, token)] = room.jobs(1)
    put(cast("Any", room.store), clock, 5)
    room.feeder.serve("q")
    for _ in range(300):
        room.feeder.took(0.0)  # jobs are known to be short
    back = ev.JobReleased(clock.now(), job.id, token, job.attempt, queue=job.queue)
    if released:
        room.finisher.give_back([back])
    else:
        room.finisher.ended(completed(job, token, clock))
    room.finisher.start()
    until(lambda: ends(room) and not room.finisher.tokens())
    assert len(room.feeder.ready) == (0 if released else 5)


def test_stopping_writes_all_that_was_handed_over_and_the_farewell_last(room: Room) -> None:
    jobs = room.jobs(200)
    room.finisher.start()
    for job, token in jobs:
        room.finisher.ended(completed(job, token, clock))
    room.finisher.stop(30, ev.AgentStopped(clock.now(), "a"))
    assert len(ends(room)) == 200
    assert isinstance(room.seen[-1], ev.AgentStopped)


def test_stopping_does_not_wait_for_a_store_that_is_gone(room: Room) -> None:
    [(job, token)] = room.jobs(1)
    room.store.disconnect()
    room.finisher.start()
    room.finisher.ended(completed(job, token, clock))
    before = clock.monotonic()
    room.finisher.stop(2)
    assert clock.monotonic() - before < 30


def test_ends_that_come_one_by_one_are_written_at_once(room: Room) -> None:
    jobs = room.jobs(20)
    room.finisher.start()
    took: list[float] = []
    for number, (job, token) in enumerate(jobs, 1):
        before = clock.monotonic()
        room.finisher.ended(completed(job, token, clock))
        until(lambda number=number: len(ends(room)) == number)  # type: ignore[misc]
        took.append(clock.monotonic() - before)
    assert statistics.median(took) < 0.2, "nobody waits for a crowd that does not come"
