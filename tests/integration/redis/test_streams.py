"""The streams against a real Redis: what is read is what happened, once, in order, and what is missing is known."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from engine.kernel import events as ev
from engine.kernel.clock import FakeClock
from engine.storage.lanes import JOBS, Lane
from engine.storage.redis.entries import Batch, Gap
from engine.storage.redis.store import RedisStore
from engine.storage.redis.streams import BEGINNING, StreamLog, gap_between
from tests.support.lanes import Ledger
from tests.support.redis_hosts import RedisCluster, RedisHost, redis_host
from tests.support.stores import claim, end, enqueued, redis_store
from tests.support.waiting import until


class Follower:
    """A reader that keeps its marks."""

    def __init__(self, store: RedisStore, reader: str = "r") -> None:
        self.log = StreamLog(store.client, store.fleet, reader, store.clock)
        self.marks: dict[str, str] = {}

    def read(self, timeout: float = 0.0) -> list[Batch]:
        batches = []
        for batch in self.log.read(self.marks, timeout=timeout):
            self.marks[batch.stream] = batch.id
            batches.append(batch)
        return batches

    def events(self) -> list[ev.Event]:
        return [event for batch in self.read() for event in batch.events]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(redis_server: RedisHost, clock: FakeClock) -> Iterator[RedisStore]:
    found = redis_store(redis_server.url, clock)
    yield found
    found.close()


def test_direct_moves_are_read_as_the_events_that_the_store_told(store: RedisStore, clock: FakeClock) -> None:
    told: list[ev.Event] = []
    store.bus.subscribe(told.extend)
    jobs = [enqueued(clock) for _ in range(4)]
    store.put(jobs)
    held = claim(store, 3)
    assert held is not None
    start = ev.JobStarted(clock.now(), jobs[0].id, held.token, 1, "a/1", "q")
    store.finish([end(ev.JobCompleted, held.jobs[0], held.token, clock, result=b"1", queue="q")], [start])
    store.cancel([jobs[3].id], "ann")
    clock.advance(5)
    store.promote()
    store.pause("q", True, "ann")
    read = Follower(store).events()
    assert [type(event).__name__ for event in read] == [
        *4 * ["JobEnqueued"], "JobsClaimed", "JobStarted", "JobCompleted", "JobCancelled", "JobRescued", "JobRescued",
        "QueuePaused",
    ]  # fmt: skip
    assert [event for event in read if not isinstance(event, ev.JobsClaimed)] == [
        event for event in told if not isinstance(event, ev.JobsClaimed)
    ]


def test_known_requests_and_stale_direct_ends_are_left_out_and_a_stale_end_is_a_conflict(
    store: RedisStore, clock: FakeClock
) -> None:
    first = enqueued(clock, idempotency_key="r")
    store.put([first, enqueued(clock, idempotency_key="r")])
    held = claim(store)
    assert held is not None
    job = held.jobs[0]
    store.finish([end(ev.JobCompleted, job, held.token, clock, result=b"1", queue="q")])
    follower = Follower(store)
    follower.read()
    store.finish([end(ev.JobCompleted, job, held.token - 1, clock, result=b"2", queue="q")])
    (batch,) = follower.read()
    (found,) = batch.events
    assert isinstance(found, ev.ConflictFound)
    assert (found.kind, found.job, found.body, batch.stale) == ("result", first.id, b"2", {first.id})
    assert found.id == f"q:{batch.id}:1"


def test_events_of_a_lane_come_with_the_numbers_of_their_journal(store: RedisStore, clock: FakeClock) -> None:
    ledger = Ledger()
    known = enqueued(clock, idempotency_key="r")
    store.put([known])
    follower = Follower(store)
    follower.read()
    ledger.write(enqueued(clock), enqueued(clock, queue="other"), enqueued(clock, idempotency_key="r", offered=True))
    owned = ledger.lanes[Lane("q", JOBS)][0].event
    assert isinstance(owned, ev.JobEnqueued)
    ledger.write(ev.JobCompleted(clock.now(), owned.id, 1, 1, queue="q"))
    store.apply("n1", 1, [ledger.shipment(Lane("q", JOBS))])
    (batch,) = follower.read()
    assert (batch.node, batch.kind, batch.first, batch.last) == ("n1", JOBS, 1, 4)
    assert list(batch.numbers) == [1, 4]
    assert list(batch.events) == [owned, ledger.lanes[Lane("q", JOBS)][2].event]


def test_conflicts_of_a_lane_are_the_records_that_its_node_was_told(store: RedisStore, clock: FakeClock) -> None:
    ledger = Ledger()
    store.put([enqueued(clock, id="a", idempotency_key="r")])
    held = claim(store)
    assert held is not None
    store.finish([end(ev.JobCompleted, held.jobs[0], held.token, clock, result=b"1", queue="q")])
    ledger.write(
        end(ev.JobCompleted, held.jobs[0], held.token - 1, clock, result=b"2", queue="q"),
        enqueued(clock, id="b", idempotency_key="r"),
        ev.JobsOffered(clock.now(), "q", ["b"]),
    )
    receipts = store.apply("n1", 1, ledger.shipments())
    told = [found for receipt in receipts for found in receipt.conflicts]
    batches = Follower(store).read()
    assert [event for batch in batches for event in batch.events if isinstance(event, ev.ConflictFound)] == told
    assert [found.kind for found in told] == ["result", "request"]
    merged = batches[-1]
    assert [type(event).__name__ for event in merged.events] == [
        "JobEnqueued", "JobsOffered", "JobCancelled", "ConflictFound",
    ]  # fmt: skip
    assert list(merged.numbers) == [2, 3]


def test_every_queue_and_the_fleet_have_a_stream_and_marks_say_where_to_go_on(
    store: RedisStore, clock: FakeClock
) -> None:
    store.put([enqueued(clock, queue=queue) for queue in "ab"])
    store.record([ev.AgentStarted(clock.now(), "agent", {})])
    follower = Follower(store)
    assert {batch.stream for batch in follower.read()} == {"", "a", "b"}
    assert follower.read() == []
    store.put([enqueued(clock, queue="b")])
    clock.advance(2)
    store.put([enqueued(clock, queue="c")])
    assert follower.log.pending(follower.marks) == 2
    assert {batch.stream for batch in follower.read()} == {"b", "c"}
    assert follower.log.acknowledge(follower.marks) == 0


def test_a_reader_that_waits_is_woken_by_the_next_entry(store: RedisStore, clock: FakeClock) -> None:
    store.put([enqueued(clock)])
    follower = Follower(store)
    follower.read()
    found: list[Batch] = []
    reader = threading.Thread(target=lambda: found.extend(follower.read(120.0)), name="stream-reader")
    reader.start()
    store.put([enqueued(clock)])
    reader.join(120)
    assert len(found) == 1


def test_many_entries_are_read_in_rounds(store: RedisStore, clock: FakeClock) -> None:
    for _ in range(10):
        store.put([enqueued(clock)])
    log, marks, rounds = StreamLog(store.client, store.fleet), dict[str, str](), 0
    while batches := list(log.read(marks, most=4)):
        marks["q"] = batches[-1].id
        rounds += 1
    assert rounds == 3


def test_trimmed_entries_are_a_gap_that_says_how_many(store: RedisStore, clock: FakeClock) -> None:
    for _ in range(3):
        store.put([enqueued(clock)])
    follower = Follower(store)
    (first, *_) = follower.read()
    follower.marks["q"] = first.id
    store.client.command("XTRIM", f"{store.tag('q')}ev", "MAXLEN", 1)
    (batch,) = follower.read()
    assert batch.gap == Gap(1, first.id, batch.id, clock.now())


def test_a_flushed_redis_is_read_from_its_beginning_with_a_gap_of_unknown_size(clock: FakeClock) -> None:
    with redis_host() as host:
        store = redis_store(host.url, clock, fleet="main")
        for _ in range(2):
            store.put([enqueued(clock)])
        follower = Follower(store)
        follower.read()
        host.flush()
        clock.advance(2)
        store.put([enqueued(clock)])
        (batch,) = follower.read()
        assert batch.gap is not None
        assert batch.gap.entries == -1
        assert follower.log.pending(follower.marks) == 0
        store.close()


def test_no_entry_is_missed_where_numbers_follow_each_other() -> None:
    assert gap_between(BEGINNING, "5-1") is None
    assert gap_between("5-1", "5-2") is None
    assert gap_between("5-1", "9-4") == Gap(2, "5-1", "9-4", 0.005)
    assert gap_between("5-3", "9-1") == Gap(-1, "5-3", "9-1", 0.005)


def test_what_a_live_reader_lacks_is_trimmed_last_and_within_the_cap(store: RedisStore, clock: FakeClock) -> None:
    def fill(bytes_: int) -> None:
        store.client.command("HSET", f"{store.tag('q')}c", "bytes", bytes_)
        store.put([enqueued(clock)])

    for _ in range(1200):
        store.record([])
        store.put([enqueued(clock)])
    follower = Follower(store)
    batches = list(follower.log.read({}, most=300))
    follower.log.acknowledge({"q": batches[-1].id})
    length = f"{store.tag('q')}ev"
    fill(40_000_000)
    kept = int(store.client.command("XLEN", length))
    assert 900 <= kept <= 1000
    assert all(batch.gap is None for batch in follower.log.read({"q": batches[-1].id}))
    fill(200_000_000)
    assert int(store.client.command("XLEN", length)) < kept * 2 // 3


def test_a_reader_that_was_away_for_long_holds_nothing_back(store: RedisStore, clock: FakeClock) -> None:
    for _ in range(1200):
        store.put([enqueued(clock)])
    long_ago = int((clock.now() - 100) * 1000)
    store.client.command("HSET", f"{store.tag('q')}rd", "away", f"{long_ago} {BEGINNING}")
    store.client.command("HSET", f"{store.tag('q')}c", "bytes", 40_000_000)
    store.put([enqueued(clock)])
    assert int(store.client.command("XLEN", f"{store.tag('q')}ev")) < 1200


def test_streams_of_a_cluster_are_followed_too(redis_cluster: RedisCluster, clock: FakeClock) -> None:
    store = redis_store(redis_cluster.url, clock)
    store.put([enqueued(clock, queue=queue) for queue in "abcdef"])
    follower = Follower(store)
    assert {batch.stream for batch in follower.read()} == set("abcdef")
    store.record([ev.AgentStarted(clock.now(), "agent", {})])
    assert until(lambda: follower.read(0.2), what="an entry")[0].stream == ""
    assert follower.log.acknowledge(follower.marks) == 0
    store.close()
