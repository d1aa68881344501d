"""Reading streams ahead: never more than there is room for, from where it is told, and saying what is missing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence

import pytest

from data import streamed
from data.streamed import StreamFollower
from engine.kernel.clock import FakeClock, SystemClock
from engine.kernel.errors import HoldfastError, Unreachable
from engine.kernel.events import QueuePaused
from engine.storage.redis.entries import Batch, Gap
from tests.support.waiting import until


def entry(n: int, stream: str = "q", gap: Gap | None = None) -> Batch:
    return Batch(stream, f"{n}-{n}", "", "", 0, 0, (), [QueuePaused(float(n), stream)], gap=gap)


class Stream:
    """A stream in memory that is there, or not."""

    def __init__(self, entries: Sequence[Batch] = ()) -> None:
        self.entries = list(entries)
        self.error: HoldfastError | None = None
        self.told: dict[str, str] = {}
        self.come = threading.Event()

    def read(self, marks: Mapping[str, str], most: int, timeout: float) -> Iterator[Batch]:
        if self.error is not None:
            raise self.error
        known = int(marks.get("q", "0-0").split("-")[0])
        found = [one for one in self.entries if int(one.id.split("-")[0]) > known][:most]
        if not found:
            self.come.wait(0.01)
        yield from found

    def acknowledge(self, marks: Mapping[str, str]) -> int:
        self.told = dict(marks)
        return len(self.entries) - int(marks.get("q", "0-0").split("-")[0])


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(streamed, "ROOM", 5)
    return 5


def test_it_reads_no_further_than_there_is_room_and_goes_on_when_entries_are_taken(room: int) -> None:
    follower = StreamFollower(Stream([entry(n) for n in range(1, 21)]), SystemClock())
    follower.start()
    try:
        follower.begin({})
        taken: list[Batch] = []

        def more() -> bool:
            assert len(follower._entries) <= room
            taken.extend(follower.take(3))
            return len(taken) == 20

        until(more, 60, "all are read")
        assert [one.id for one in taken] == [f"{n}-{n}" for n in range(1, 21)]
    finally:
        follower.stop()
    assert not follower._thread.is_alive()


def test_it_begins_where_it_is_told_and_drops_what_it_read_before() -> None:
    follower = StreamFollower(Stream([entry(n) for n in range(1, 6)]), FakeClock())
    follower.begin({})
    follower.run_once()
    follower.begin({"q": "3-3"})
    assert follower.take(10) == []
    follower.run_once()
    assert [one.id for one in follower.take(10)] == ["4-4", "5-5"]


def test_it_tells_redis_how_far_history_is_and_knows_how_far_it_is_behind() -> None:
    clock, stream = FakeClock(), Stream([entry(n) for n in range(1, 6)])
    follower = StreamFollower(stream, clock)
    follower.begin({})
    follower.run_once()
    clock.advance(7)
    follower.run_once()
    assert (follower.pending, stream.told) == (5, {}) and follower.lag() == 7.0
    follower.take(10)
    follower.recorded({"q": "5-5"})
    clock.advance(1)
    follower.run_once()
    assert (follower.pending, stream.told, follower.lag()) == (0, {"q": "5-5"}, 0.0)


def test_a_redis_that_is_away_is_asked_again_later_each_time_and_missed_once(caplog: pytest.LogCaptureFixture) -> None:
    stream = Stream([entry(1)])
    follower = StreamFollower(stream, FakeClock())
    follower.begin({})
    stream.error = Unreachable("no answer")
    with caplog.at_level(logging.INFO, "holdfast.recorder"):
        assert [follower.run_once() for _ in range(6)] == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0]
        assert follower.away and caplog.text.count("history goes on with the journal") == 1
        stream.error = HoldfastError("WRONGTYPE")
        assert follower.run_once() == streamed.LONGEST_PAUSE
        stream.error = None
        assert follower.run_once() == streamed.GATHER
    assert not follower.away and "Redis answers again" in caplog.text and len(follower.take(9)) == 1


def test_what_was_trimmed_before_it_was_read_is_counted_and_said(caplog: pytest.LogCaptureFixture) -> None:
    gaps = [
        entry(5, gap=Gap(4, "0-0", "5-5", 1.0)),
        entry(6, gap=Gap(-1, "5-5", "6-6", 1.0)),
        entry(7, gap=Gap(0, "", "", 0)),
    ]
    follower = StreamFollower(Stream(gaps), FakeClock())
    follower.begin({})
    with caplog.at_level(logging.WARNING, "holdfast.recorder"):
        follower.run_once()
    assert follower.lost == 4 and len(follower.take(9)) == 3
    assert "queue q lost 4 entries" in caplog.text and "begins anew" in caplog.text


def test_history_that_keeps_up_is_not_behind_though_there_is_always_something_new() -> None:
    clock, stream = FakeClock(), Stream()
    follower = StreamFollower(stream, clock)
    follower.begin({})
    for n in range(1, 20):
        stream.entries.append(entry(n))
        follower.run_once()
        if n > 1:  # always one behind
            follower.recorded({"q": f"{n - 1}-{n - 1}"})
        clock.advance(1.0)
        assert follower.lag() <= 3.0
    for _ in range(20):
        clock.advance(1.0)
        follower.run_once()
    assert follower.lag() >= 20.0
    follower.recorded({"q": "19-19"})
    follower.run_once()
    assert follower.lag() < 2.0
