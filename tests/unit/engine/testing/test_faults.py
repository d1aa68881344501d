from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from engine import Engine, StoreFull, task
from engine.kernel.clock import FakeClock
from engine.storage.memory import MemoryStore
from engine.testing import Disconnected, FaultyStore, wait_for_jobs
from tests.support.waiting import until


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore(MemoryStore())


def test_a_fault_is_used_up_and_then_all_is_well(store: FaultyStore) -> None:
    store.fail(StoreFull("full"), on=["set_value", "swap"], times=2)
    with pytest.raises(StoreFull):
        store.set_value("k", b"1")
    assert store.value("k") is None
    with pytest.raises(StoreFull):
        store.swap("k", None, b"1")
    store.set_value("k", b"1")
    assert store.value("k") == b"1"


def test_a_lost_answer_leaves_the_work_done(store: FaultyStore) -> None:
    store.lose_answers(on="increment")
    with pytest.raises(Disconnected):
        store.increment("n")
    assert store.value("n") == b"1"


def test_latency_moves_a_fake_clock() -> None:
    clock = FakeClock()
    store = FaultyStore(MemoryStore(clock), clock)
    store.delay(3, on="value", times=2)
    before = clock.monotonic()
    for _ in range(3):
        store.value("k")
    assert clock.monotonic() - before == 6


def test_a_cut_store_answers_nothing_until_it_is_joined_again(store: FaultyStore) -> None:
    with store.disconnected():
        for operation in (store.counts, store.promote, store.values):
            with pytest.raises(Disconnected):
                operation()
    assert store.counts() == {}


def test_healing_forgets_everything(store: FaultyStore) -> None:
    store.fail(StoreFull("full"), on="value", times=5)
    store.disconnect()
    store.heal()
    assert store.value("k") is None


def test_operations_are_counted_and_unknown_ones_refused(store: FaultyStore) -> None:
    store.value("a")
    store.value("b")
    assert store.calls["value"] == 2
    with pytest.raises(ValueError, match="no such operation of a store: putt; known are"):
        store.fail(StoreFull("x"), on="putt")


gate = threading.Event()


@task
def double(n: int) -> int:
    return n * 2


@task
def held() -> None:
    gate.wait(30)


@pytest.fixture
def engine(store: FaultyStore) -> Iterator[Engine]:
    gate.clear()
    engine = Engine(store=store)  # type: ignore[arg-type]
    engine.add(double)
    engine.add(held)
    yield engine
    gate.set()
    store.heal()
    engine.stop()


def test_workers_outlive_a_cut_and_every_job_is_done(engine: Engine, store: FaultyStore) -> None:
    engine.start()
    handles = [double.enqueue(n) for n in range(200)]
    store.disconnect()
    until(lambda: store.calls["claim"] > 0 or store.calls["finish"] > 0)
    with pytest.raises(Disconnected):
        double.enqueue(1)
    store.reconnect()
    handles += [double.enqueue(n) for n in range(200, 300)]
    views = wait_for_jobs(engine, handles, timeout=60)
    assert len(views) == 300
    assert [handle.result(30) for handle in handles] == [n * 2 for n in range(300)]


def test_waiting_for_jobs_that_hang_names_them_and_why(engine: Engine) -> None:
    engine.start()
    running = held.enqueue()
    until(lambda: running.state == "running")
    engine.pause("default")
    waiting = double.enqueue(1)
    with pytest.raises(AssertionError) as told:
        wait_for_jobs(engine, [running, waiting, "no-such-job"], timeout=0.05)
    lines = str(told.value).splitlines()
    assert lines[0] == "3 of 3 jobs have not ended within 0.05 s:"
    assert "held: running, attempt 1" in lines[1] and "double: available, attempt 0: " in lines[2]
    assert lines[3] == "  no-such-job: unknown"
    with pytest.raises(AssertionError, match=r"not ended within 0.05 s: \{'default': \{.*'running': 1"):
        wait_for_jobs(engine, timeout=0.05)


def test_waiting_for_all_jobs_ends_when_none_is_left(engine: Engine) -> None:
    for n in range(20):
        double.enqueue(n)
    engine.start()
    assert wait_for_jobs(engine, timeout=60) == {}
    assert sum(engine.counts()["default"].get(s, 0) for s in ("available", "running")) == 0
