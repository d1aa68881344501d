from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import pytest

from engine.handle import Waiters
from engine.kernel.bus import Bus
from engine.kernel.clock import SystemClock
from engine.kernel.events import JobCompleted, JobDeleted, JobRetryScheduled
from engine.kernel.job import JobState, JobView
from tests.support.waiting import until


class Room:
    """A job whose state the test sets, and a bus to tell of it."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.bus = Bus()
        self.waiters = Waiters(self.bus, self.clock)
        self.state: JobState | None = JobState.RUNNING

    def look(self) -> JobView | None:
        if self.state is None:
            return None
        return JobView("id", "q", "t", self.state, 5, "", 0.0, 0.0, 0.0, 1, 0.0, 1, 0, b"")

    def wait_in_thread(self) -> tuple[threading.Thread, list[JobView | None]]:
        got: list[JobView | None] = []
        thread = threading.Thread(target=lambda: got.append(self.waiters.wait("id", None, self.look)))
        thread.start()
        until(lambda: "id" in self.waiters._waiting)
        return thread, got


@pytest.fixture
def room() -> Room:
    return Room()


def test_the_end_of_the_job_is_told_to_all_who_wait(room: Room) -> None:
    waiting = [room.wait_in_thread() for _ in range(3)]
    room.state = JobState.COMPLETED
    room.bus.publish([JobCompleted(0.0, "other", 1, 1), JobCompleted(0.0, "id", 1, 1)])
    for thread, got in waiting:
        thread.join(30)
        assert got[0] is not None and got[0].state == "completed"
    assert not room.waiters._waiting


def test_an_end_that_comes_between_the_look_and_the_wait_is_not_missed(room: Room) -> None:
    def look() -> JobView | None:
        view = room.look()
        if room.state == JobState.RUNNING:
            room.state = JobState.DEAD
            room.bus.publish([JobCompleted(0.0, "id", 1, 1)])
        return view

    found = room.waiters.wait("id", 30, look)
    assert found is not None and found.state == "dead"


def test_a_job_that_is_deleted_or_unknown_is_not_waited_for(room: Room) -> None:
    thread, got = room.wait_in_thread()
    room.state = None
    room.bus.publish([JobDeleted(0.0, "id")])
    thread.join(30)
    assert got == [None]
    assert room.waiters.wait("id", None, room.look) is None


def test_the_time_given_is_all_the_time_there_is(room: Room) -> None:
    stop = threading.Event()

    def nudge() -> None:
        while not stop.wait(0.02):
            room.bus.publish([JobRetryScheduled(0.0, "id", 1, 1)])

    nudger = threading.Thread(target=nudge)
    nudger.start()
    before = room.clock.monotonic()
    assert room.waiters.wait("id", 0.3, room.look) is None
    assert 0.3 <= room.clock.monotonic() - before < 30
    stop.set()
    nudger.join()
    assert not room.waiters._waiting


def test_closing_lets_everyone_go(room: Room) -> None:
    thread, got = room.wait_in_thread()
    room.waiters.close()
    thread.join(30)
    assert got == [None]
    assert room.waiters.wait("id", None, room.look) is None


def test_a_job_that_cannot_be_seen_for_now_is_waited_for(room: Room) -> None:
    room.waiters = Waiters(room.bus, room.clock, lambda told: lambda: None)
    room.state, cut_off = None, threading.Event()
    cut_off.set()
    assert room.waiters.wait("id", 0.05, room.look, cut_off.is_set) is None
    got: list[JobView | None] = []
    thread = threading.Thread(target=lambda: got.append(room.waiters.wait("id", 30, room.look, cut_off.is_set)))
    thread.start()
    until(lambda: "id" in room.waiters._waiting)
    room.state = JobState.COMPLETED
    cut_off.clear()
    thread.join(30)
    assert [view.state for view in got if view] == [JobState.COMPLETED]


class Elsewhere:
    """What tells of ends in other processes."""

    def __init__(self) -> None:
        self.told: list[Callable[[Iterable[str]], None]] = []

    def follow(self, told: Callable[[Iterable[str]], None]) -> Callable[[], None]:
        self.told.append(told)
        return lambda: self.told.remove(told)


@pytest.fixture
def elsewhere(room: Room) -> Elsewhere:
    there = Elsewhere()
    room.waiters = Waiters(room.bus, room.clock, there.follow)
    return there


def test_the_end_of_a_job_in_another_process_is_told_while_someone_waits(room: Room, elsewhere: Elsewhere) -> None:
    waiting = [room.wait_in_thread() for _ in range(3)]
    until(lambda: elsewhere.told)
    [tell] = elsewhere.told
    room.state = JobState.COMPLETED
    tell(["other", "id"])
    for thread, got in waiting:
        thread.join(30)
        assert got[0] is not None and got[0].state == "completed"
    assert not elsewhere.told


def test_an_end_elsewhere_of_which_the_news_got_lost_is_found_all_the_same(room: Room, elsewhere: Elsewhere) -> None:
    thread, got = room.wait_in_thread()
    room.state = JobState.DEAD
    thread.join(30)
    assert got[0] is not None and got[0].state == "dead"
