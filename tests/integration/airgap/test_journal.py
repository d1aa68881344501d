"""The journal as a log: order, durability for all who wait, and what happens when the disk refuses."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from airgap.ballast import Ballast
from airgap.journal import COMMIT_EVENTS, Journal, Standing
from airgap.keys import KeyRing
from airgap.quota import Quota
from airgap.segment import NO_CHAIN, OpenedSegment, SegmentReader
from airgap.shelf import Shelf
from engine.kernel.clock import FakeClock
from engine.kernel.errors import Stopped, StoreFull
from engine.kernel.events import Event, QueuePaused
from tests.support.waiting import until

MIB = 2**20


class Log:
    """A journal with its shelf and keys, and no fold."""

    def __init__(self, folder: Path, limit: int = 100 * MIB) -> None:
        self.shelf = Shelf(folder / "airgap")
        self.shelf.open()
        self.sealer = KeyRing.open(folder / "keys", "file").sealer()
        self.commits: list[list[Event]] = []
        self.ballast = Ballast(folder / "reserve", limit)
        self.ballast.hold()
        self.journal = Journal(
            self.shelf,
            Quota(limit),
            self.ballast,
            FakeClock(),
            power_safe=True,
            on_commit=lambda events: self.commits.append([*events]),
        )
        self.journal.begin(self.sealer, 1, Standing(), 0, 0)

    def segments(self) -> list[OpenedSegment]:
        reader = SegmentReader()
        return [
            reader.read(number, self.sealer.open("segment", number, self.shelf.row(row)))
            for number, row, _ in self.shelf.numbers()
        ]

    def on_disk(self) -> list[str]:
        return [event.queue for segment in self.segments() for event in segment.events]  # type: ignore[union-attr]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    made = Log(tmp_path)
    yield made
    made.shelf.close()


def paused(*names: object) -> list[Event]:
    return [QueuePaused(1.0, str(name)) for name in names]


def no_room(log: Log) -> None:
    """SQLite's own page limit stands in for the end of the disk: the error is the real one."""
    pages = log.shelf.sql("PRAGMA page_count").fetchone()[0]
    log.shelf.sql(f"PRAGMA max_page_count = {pages}")


def room_again(log: Log) -> None:
    log.shelf.sql("PRAGMA max_page_count = 1000000")


def fill_up(log: Log) -> None:
    no_room(log)
    for _ in range(1000):
        batch = log.journal.append(paused("x" * 1000))
        try:
            batch.settle()
        except StoreFull:
            return
    raise AssertionError("the page limit was never reached")


def test_what_was_appended_first_is_on_disk_first_settled_or_not(log: Log) -> None:
    log.journal.append(paused(1))
    log.journal.append(paused(2, 3), sync=False)
    log.journal.append(paused(4)).settle()
    assert log.on_disk() == ["1", "2", "3", "4"]
    assert len(log.segments()) == 1


def test_flush_writes_what_nobody_settled(log: Log) -> None:
    log.journal.append(paused(1))
    log.journal.flush()
    assert log.on_disk() == ["1"]


def test_segments_continue_each_other_without_a_gap(log: Log) -> None:
    for number in range(5):
        log.journal.append(paused(*range(number + 1))).settle()
    segments = log.segments()
    chain, event = NO_CHAIN, 1
    for segment in segments:
        assert (segment.before, segment.first) == (chain, event)
        chain, event = segment.chain, event + segment.count
    assert log.journal.standing == Standing(5, 15, chain)


def test_then_runs_in_log_order_before_the_bus_and_before_settle_returns(log: Log) -> None:
    order: list[str] = []
    log.journal._on_commit = lambda events: order.append("bus")
    log.journal.append(paused(1), then=lambda: order.append("first"))
    log.journal.append(paused(2), then=lambda: order.append("second")).settle()
    assert order == ["first", "second", "bus"]


def test_a_then_that_raises_is_told_to_its_own_caller_only(log: Log) -> None:
    def broken() -> None:
        raise ValueError("broken")

    first = log.journal.append(paused(1), then=broken)
    log.journal.append(paused(2)).settle()
    with pytest.raises(ValueError, match="broken"):
        first.settle()


def test_a_commit_is_capped_and_the_rest_follows(log: Log) -> None:
    for _ in range(3):
        log.journal.append(paused(*range(COMMIT_EVENTS - 100)))
    log.journal.flush()
    assert [segment.count for segment in log.segments()] == [2 * (COMMIT_EVENTS - 100), COMMIT_EVENTS - 100]


def test_an_empty_batch_writes_nothing_but_waits_for_those_before_it(log: Log) -> None:
    told: list[int] = []
    log.journal.append(paused(1))
    log.journal.append([], then=lambda: told.append(1)).settle()
    log.journal.append([]).settle()
    assert log.on_disk() == ["1"]
    assert told == [1]


def test_many_threads_share_commits_and_none_is_forgotten(log: Log) -> None:
    each, threads = 100, 16
    gate = threading.Barrier(threads)

    def write(name: int) -> None:
        gate.wait()
        for number in range(each):
            log.journal.append(paused(f"{name}-{number}")).settle()

    workers = [threading.Thread(target=write, args=(name,)) for name in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)
    on_disk = log.on_disk()
    assert sorted(on_disk) == sorted(f"{name}-{number}" for name in range(threads) for number in range(each))
    for name in range(threads):
        mine = [text for text in on_disk if text.startswith(f"{name}-")]
        assert mine == [f"{name}-{number}" for number in range(each)], "each thread's order is kept"
    assert [event for commit in log.commits for event in commit] == paused(*on_disk)


def test_a_full_disk_refuses_with_the_mend_and_leaves_the_chain_whole(log: Log) -> None:
    fill_up(log)
    failures: list[BaseException] = []
    before = log.journal.standing
    with pytest.raises(StoreFull, match="free space") as refused:
        log.journal.append(paused("y" * 5000), failed=failures.append).settle()
    assert refused.value.retry_after > 0
    assert len(failures) == 1
    assert log.journal.standing == before
    room_again(log)
    log.journal.append(paused("after")).settle()
    segments = log.segments()
    assert segments[-1].before == segments[-2].chain
    assert log.journal.trouble == ""


def test_outcomes_wait_out_a_full_disk_and_are_written_in_order(log: Log) -> None:
    fill_up(log)
    log.journal.append(paused("first" + "z" * 5000), reserve=True)
    last = log.journal.append(paused("second"), reserve=True)
    done = threading.Event()

    def settle() -> None:
        last.settle()
        done.set()

    thread = threading.Thread(target=settle)
    thread.start()
    until(lambda: log.journal.trouble)
    assert not done.is_set()
    with log.journal.held():
        room_again(log)
    assert done.wait(60)
    thread.join()
    assert [text[:5] for text in log.on_disk()[-2:]] == ["first", "secon"]


def test_on_a_full_disk_the_room_held_back_goes_to_outcomes_and_to_nothing_else(log: Log) -> None:
    assert log.ballast.path.stat().st_blocks * 512 >= log.ballast.size
    fill_up(log)
    outcome = log.journal.append(paused("outcome" + "z" * 5000), reserve=True)
    thread = threading.Thread(target=outcome.settle)
    thread.start()
    until(lambda: not log.ballast.path.exists())
    with log.journal.held():
        room_again(log)
    thread.join(60)
    assert log.on_disk()[-1].startswith("outcome")
    with pytest.raises(StoreFull, match="kept for outcomes"):
        log.journal.append(paused("job")).settle()
    log.journal.append(paused("another outcome"), reserve=True).settle()
    assert log.ballast.restore()
    log.journal.append(paused("job")).settle()
    assert log.on_disk()[-2:] == ["another outcome", "job"]


def test_the_quota_refuses_jobs_and_still_takes_outcomes(tmp_path: Path) -> None:
    log = Log(tmp_path, limit=20_000)
    with pytest.raises(StoreFull, match="store_limit"):
        for _ in range(100):
            log.journal.append(paused("x" * 1000)).settle()
    assert 18_000 <= log.journal.used < 20_000
    log.journal.append(paused("outcome"), reserve=True).settle()
    assert log.on_disk()[-1] == "outcome"
    log.shelf.close()


def test_an_interrupted_leader_leaves_its_commit_to_the_next(log: Log) -> None:
    from engine.kernel import faults

    def interrupt() -> None:
        faults.disarm()
        raise KeyboardInterrupt

    faults.arm("commit.before_write", interrupt)
    batch = log.journal.append(paused("kept"))
    with pytest.raises(KeyboardInterrupt):
        batch.settle()
    log.journal.append(paused("next")).settle()
    assert log.on_disk() == ["kept", "next"]
    batch.settle()


def test_after_close_nothing_is_taken_any_more(log: Log) -> None:
    log.journal.append(paused("last"))
    log.journal.close()
    assert log.on_disk() == ["last"]
    with pytest.raises(Stopped):
        log.journal.append(paused("late")).settle()


def test_closing_while_the_disk_refuses_frees_those_who_wait(log: Log) -> None:
    fill_up(log)
    batch = log.journal.append(paused("w" * 5000), reserve=True)
    raised: list[BaseException] = []

    def settle() -> None:
        try:
            batch.settle()
        except Stopped as error:
            raised.append(error)

    thread = threading.Thread(target=settle)
    thread.start()
    until(lambda: log.journal.trouble)
    log.journal.close()
    thread.join(60)
    assert len(raised) == 1


def test_one_batch_larger_than_a_commit_is_one_segment(log: Log) -> None:
    events: Sequence[Event] = paused(*range(COMMIT_EVENTS * 2))
    log.journal.append(events).settle()
    assert [segment.count for segment in log.segments()] == [COMMIT_EVENTS * 2]
