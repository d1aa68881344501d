from __future__ import annotations

import threading

import pytest

from engine.kernel.bell import Bell
from engine.kernel.clock import SystemClock
from engine.storage.memory import MemoryStore
from engine.workers import feeder as feeding
from engine.workers.feeder import BATCH_MOST, CLOSE_WAIT, Feeder
from tests.support.waiting import until
from tests.unit.engine.workers.rooms import put

clock = SystemClock()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(clock)


@pytest.fixture
def feeder(store: MemoryStore) -> Feeder:
    feeder = Feeder(store, "a")
    feeder.serve("q")
    return feeder


def learn(feeder: Feeder, seconds: float) -> None:
    for _ in range(200):
        feeder.took(seconds)


def test_of_jobs_it_knows_nothing_about_it_takes_one(store: MemoryStore, feeder: Feeder) -> None:
    put(store, clock, 10)
    assert feeder.next() is not None
    assert len(feeder.ready) == 0


@pytest.mark.parametrize(("seconds", "most"), [(1.0, 1), (0.01, 10), (0.00001, BATCH_MOST)])
def test_a_claim_takes_about_a_tenth_of_a_second_of_work(
    store: MemoryStore, feeder: Feeder, seconds: float, most: int
) -> None:
    put(store, clock, 2 * BATCH_MOST)
    learn(feeder, seconds)
    assert feeder.next() is not None
    assert len(feeder.ready) == pytest.approx(most - 1, abs=1)


def test_jobs_of_queues_it_does_not_serve_are_left(store: MemoryStore, feeder: Feeder) -> None:
    put(store, clock, 3, queue="other")
    assert feeder.next() is None


def test_jobs_come_in_the_order_of_the_claim_and_each_once(store: MemoryStore, feeder: Feeder) -> None:
    ids = put(store, clock, 50)
    learn(feeder, 0.0001)
    got = [held[0].id for _ in range(50) if (held := feeder.next()) is not None]
    assert got == ids
    assert feeder.next() is None and feeder.taken == 50


def test_who_waits_at_the_door_is_woken_by_a_job(store: MemoryStore, feeder: Feeder) -> None:
    got: list[str] = []

    def work() -> None:
        bell = Bell()
        while not got:
            held = feeder.next()
            if held is None:
                feeder.idle(bell)
            else:
                got.append(held[0].id)

    worker = threading.Thread(target=work)
    worker.start()
    ids = put(store, clock, 1)
    worker.join(30)
    assert got == ids


def test_a_crowd_of_idle_workers_shares_what_comes(store: MemoryStore, feeder: Feeder) -> None:
    got: list[str] = []
    everyone = threading.Barrier(4)

    def work() -> None:
        bell = Bell()
        held = None
        while held is None:
            held = feeder.next()
            if held is None:
                feeder.idle(bell)
        got.append(held[0].id)
        everyone.wait(30)  # nobody takes two

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    until(lambda: len(feeder.parked) == 3)
    ids = put(store, clock, 4)
    for worker in workers:
        worker.join(30)
    assert sorted(got) == sorted(ids)


def test_a_parked_worker_is_called_or_looks_up_by_itself(feeder: Feeder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not feeder.call_one()
    monkeypatch.setattr(feeding, "IDLE_WAIT", 0.01)
    feeder.park(Bell())
    assert not feeder.parked
    monkeypatch.setattr(feeding, "IDLE_WAIT", 600.0)
    bell, woken = Bell(), threading.Event()

    def lie_down() -> None:
        feeder.park(bell)
        woken.set()

    threading.Thread(target=lie_down).start()
    until(lambda: feeder.parked)
    assert feeder.call_one()
    assert woken.wait(30) and not feeder.parked


def test_closing_wakes_everyone_and_gives_up_what_nobody_began(
    store: MemoryStore, feeder: Feeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "IDLE_WAIT", 600.0)
    put(store, clock, 5)
    learn(feeder, 0.001)
    first = feeder.next()
    sleepers = [threading.Thread(target=feeder.park, args=(Bell(),)) for _ in range(3)]
    for sleeper in sleepers:
        sleeper.start()
    until(lambda: len(feeder.parked) == 3)
    left = feeder.close()
    for sleeper in sleepers:
        sleeper.join(30)
    assert first is not None and len(left) == 4 and first[0].id not in {job.id for job, _ in left}
    assert feeder.next() is None, "nothing is claimed any more"
    assert feeder.want() is None


def test_who_halts_just_before_a_claim_has_no_job_claimed_afterwards(
    store: MemoryStore, feeder: Feeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, clock, 1)
    may_claim = feeder._may_claim

    def halted_meanwhile() -> bool:
        feeder.halt()
        return may_claim()

    monkeypatch.setattr(feeder, "_may_claim", halted_meanwhile)
    assert feeder.next() is None
    assert store.counts()["q"]["available"] == 1
    monkeypatch.setattr(feeder, "_may_claim", may_claim)
    feeder.go_on()
    assert feeder.next() is not None


def test_closing_does_not_wait_for_ever_for_a_claim_under_way(store: MemoryStore, feeder: Feeder) -> None:
    put(store, clock, 5)
    learn(feeder, 0.0001)
    assert feeder.want() is not None, "somebody claims, and the disk is full"
    before = clock.monotonic()
    assert feeder.close() == []
    assert CLOSE_WAIT <= clock.monotonic() - before < 30


def test_a_batch_is_brought_along_only_while_work_flows(store: MemoryStore, feeder: Feeder) -> None:
    assert feeder.want() is None, "nothing is known of the jobs"
    learn(feeder, 0.0001)
    want = feeder.want()
    assert want is not None and want.most == BATCH_MOST and set(want.room) == {"q"}
    assert feeder.want() is None, "somebody claims already"
    put(store, clock, 3)
    feeder.brought(store.exchange([], [], want).claim)
    assert len(feeder.ready) == 3
    learn(feeder, 0.5)
    assert feeder.want() is None, "the jobs are long now"
