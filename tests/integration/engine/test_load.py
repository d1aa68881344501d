"""Many jobs, many threads, few slots: limits hold, nothing waits in vain, nothing runs twice, nothing is left behind."""

from __future__ import annotations

import threading
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from engine import Engine
from engine.kernel import events as ev
from engine.kernel.clock import SystemClock
from engine.storage.memory import MemoryStore
from engine.testing import FaultyStore, wait_for_jobs
from engine.workers import feeder
from tests.integration.engine.conftest import Start
from tests.integration.engine.test_outcomes import PATIENCE, view_of
from tests.support.journals import events_of
from tests.support.waiting import until

clock = SystemClock()


class Gauge:
    """Counts who is inside at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.inside = 0
        self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.inside -= 1


def test_all_workers_work_and_no_more(make: Start) -> None:
    engine = make(workers=8)
    gauge, go = Gauge(), threading.Event()

    @engine.queue("q").task(name="t.work")
    def work() -> None:
        with gauge:
            assert go.wait(PATIENCE)

    engine.start()
    engine.enqueue_many([work.job() for _ in range(40)])
    until(lambda: gauge.inside == 8, what="eight jobs run at once")
    load = engine.load()
    assert (load.slots, load.busy, len({job.worker for job in load.running})) == (8, 8, 8)
    go.set()
    wait_for_jobs(engine, timeout=PATIENCE)
    assert gauge.most == 8


def test_the_concurrency_of_a_queue_holds_and_is_used(make: Start) -> None:
    engine = make(workers=8)
    gauges = {"two": Gauge(), "free": Gauge()}
    #: how many of each wait until they are that many, and that they were
    crowds = {"two": (2, threading.Event()), "free": (3, threading.Event())}

    def work(name: str) -> None:
        size, together = crowds[name]
        with gauges[name]:
            if gauges[name].most >= size:
                together.set()
            assert together.wait(PATIENCE)
            threading.Event().wait(0.002)

    limited = engine.queue("two", concurrency=2).task(name="t.limited")(work)
    free = engine.queue("free").task(name="t.free")(work)
    engine.start()
    engine.enqueue_many([task.job(name) for _ in range(150) for task, name in ((limited, "two"), (free, "free"))])
    wait_for_jobs(engine, timeout=PATIENCE)
    assert gauges["two"].most == 2
    assert gauges["free"].most > 2


def test_jobs_of_a_queue_that_runs_one_at_a_time_follow_each_other_at_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeder, "IDLE_WAIT", 10.0)
    ran: list[float] = []

    @engine.queue("one", concurrency=1).task(name="t.work")
    def work() -> None:
        ran.append(clock.monotonic())

    engine.enqueue_many([work.job() for _ in range(40)])
    wait_for_jobs(engine, timeout=120)
    gaps = sorted(later - earlier for earlier, later in pairwise(ran))
    assert gaps[len(gaps) // 2] < 0.5, "the end of a job lets the next one go, not a worker that looks around"


def test_a_rate_limit_holds_under_load(make: Start) -> None:
    engine = make(workers=8)
    began: list[float] = []

    @engine.queue("slow", rate_limit="10/s").task(name="t.work")
    def work() -> None:
        began.append(clock.monotonic())

    engine.start()
    before = clock.monotonic()
    engine.enqueue_many([work.job() for _ in range(25)])
    wait_for_jobs(engine, timeout=PATIENCE)
    assert len(began) == 25
    assert max(began) - before > 1.2, "ten at once, the others one by one"


def test_tenants_share_the_workers(make: Start) -> None:
    engine = make(workers=1)
    order: list[str] = []

    @engine.queue("q").task(name="t.work")
    def work(name: str) -> None:
        order.append(name)

    engine.enqueue_many([work.job("big", tenant="big") for _ in range(200)])
    engine.enqueue_many([work.job("small", tenant="small") for _ in range(10)])
    engine.start()
    wait_for_jobs(engine, timeout=PATIENCE)
    assert order.index("small") < 5
    assert max(place for place, tenant in enumerate(order) if tenant == "small") < 40


def test_urgent_jobs_go_first(make: Start) -> None:
    engine = make(workers=1)
    order: list[str] = []

    @engine.queue("q").task(name="t.work")
    def work(name: str) -> None:
        order.append(name)

    for name in ("low", "normal", "high", "critical"):
        work.enqueue(name, priority=name)
    engine.start()
    wait_for_jobs(engine, timeout=PATIENCE)
    assert order == ["critical", "high", "normal", "low"]


def test_short_jobs_that_were_claimed_with_a_long_one_do_not_wait_for_it(make: Start) -> None:
    engine = make(workers=2)
    go = threading.Event()

    @engine.queue("q").task(name="t.work")
    def work(long: bool) -> None:
        assert not long or go.wait(PATIENCE)

    engine.start()
    for _ in range(3):  # until short jobs are known to be short, and claimed many at a time
        engine.enqueue_many([work.job(False) for _ in range(200)])
        wait_for_jobs(engine, timeout=PATIENCE)
    long, *short = engine.enqueue_many([work.job(number == 0) for number in range(100)])
    for job in short:
        job.result(PATIENCE)
    assert long.state == "running"
    go.set()
    long.result(PATIENCE)


def known_to_be_short(engine: Any) -> None:
    """Jobs are claimed many at a time from now on."""
    for _ in range(300):
        engine._feeder.took(0.0)


def test_a_hoard_is_handed_back_when_every_worker_is_busy(make: Start) -> None:
    engine = make(workers=1)
    go = threading.Event()

    @engine.queue("q").task(name="t.work")
    def work(long: bool) -> None:
        assert not long or go.wait(PATIENCE)

    known_to_be_short(engine)
    seen = events_of(engine.bus)
    engine.start()
    long, *short = engine.enqueue_many([work.job(number == 0) for number in range(20)])
    until(lambda: sum(isinstance(event, ev.JobReleased) for event in seen) >= 19, 30, "the hoard goes back")
    released = [event for event in seen if isinstance(event, ev.JobReleased)]
    assert {job.state for job in short} == {"available"}, "others may have them, and they are not taken again at once"
    assert Counter(event.id for event in released) == {job.id: 1 for job in short}
    assert all(not event.started_at for event in released)
    assert long.state == "running"
    go.set()
    assert [job.result(PATIENCE) for job in (long, *short)] == [None] * 20
    assert {view_of(job).attempt for job in short} == {1}, "a job that never began used up no attempt"


def test_a_job_of_a_hoard_that_was_cancelled_does_not_come_back_with_it(make: Start) -> None:
    engine = make(workers=1)
    going, go = threading.Event(), threading.Event()
    ran: list[int] = []

    @engine.queue("q").task(name="t.work")
    def work(number: int) -> None:
        ran.append(number)
        going.set()
        assert go.wait(PATIENCE)

    known_to_be_short(engine)
    engine.start()
    long, other, unwanted = engine.enqueue_many([work.job(number) for number in range(3)])
    assert going.wait(PATIENCE)
    unwanted.cancel()
    until(lambda: other.state == "available", what="the hoard goes back")
    assert unwanted.state == "cancelled"
    go.set()
    assert [job.result(PATIENCE) for job in (long, other)] == [None] * 2
    assert ran == [0, 1]


def test_a_task_that_hogs_the_interpreter_neither_starves_others_nor_loses_its_lease(make: Start) -> None:
    engine = make(workers=4)
    seen = events_of(engine.bus)
    go = threading.Event()

    @engine.queue("q").task(name="t.hog")
    def hog(seconds: float) -> int:
        until_then, turns = clock.monotonic() + seconds, 0
        while clock.monotonic() < until_then or not go.is_set():
            turns += 1
        return turns

    @engine.queue("q").task(name="t.quick")
    def quick() -> None:
        return None

    engine.start()
    hogs = [hog.enqueue(5.5), hog.enqueue(5.5)]
    until(lambda: engine.load().busy >= 2)
    for _ in range(10):
        quick.enqueue().result(PATIENCE)
    go.set()
    for job in hogs:
        assert job.result(PATIENCE) > 0
    assert not [event for event in seen if isinstance(event, ev.JobRescued)]


@pytest.mark.parametrize("home", [False, True], ids=["memory", "journal"])
def test_jobs_enqueued_by_sixteen_threads_while_they_are_worked_off_run_exactly_once(make: Start, home: bool) -> None:
    engine = make(home=home, workers=8)
    ran: Counter[int] = Counter()
    lock = threading.Lock()

    @engine.queue("q").task(name="t.count")
    def count(number: int) -> None:
        with lock:
            ran[number] += 1

    engine.start()

    def send(share: int) -> None:
        for number in range(share, 3_200, 16):
            count.enqueue(number)

    threads = [threading.Thread(target=send, args=(share,)) for share in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for_jobs(engine, timeout=120)
    assert len(ran) == 3_200 and set(ran.values()) == {1}


def test_nothing_is_left_behind_by_a_hundred_thousand_jobs(make: Start) -> None:
    engine = make(store=MemoryStore(result_limit=100), workers=4)

    @engine.queue("q").task(name="t.none", timeout=3600)
    def nothing() -> None:
        return None

    engine.start()
    for _ in range(10):
        engine.enqueue_many([nothing.job() for _ in range(10_000)])
        wait_for_jobs(engine, timeout=120)
    inside: Any = engine
    fold, runner, finisher = inside.store.fold, inside._runner, inside._pool.finisher
    until(lambda: not fold.leases and not runner.running)
    assert (len(fold.jobs), len(fold.progress), len(fold.unique), len(fold.requests)) == (0, 0, 0, 0)
    assert (len(fold.ended), len(fold.queue("q").order)) == (100, 0)
    assert (len(runner.running), len(runner._deadlines), len(inside._feeder.ready)) == (0, 0, 0)
    assert (len(finisher._ends), len(finisher._notes), len(finisher._starts)) == (0, 0, 0)
    assert not inside._waiters._waiting


def test_a_store_that_fails_now_and_then_loses_and_doubles_nothing(make: Start) -> None:
    store = FaultyStore(MemoryStore())
    engine = make(store=store, workers=4)
    ran: Counter[int] = Counter()
    lock = threading.Lock()

    @engine.queue("q").task(name="t.count")
    def count(number: int) -> int:
        with lock:
            ran[number] += 1
        return number

    handles = engine.enqueue_many([count.job(number) for number in range(500)])
    store.fail(ConnectionError("gone"), on="exchange", times=2)
    store.fail(ConnectionError("gone"), on="claim", times=3)
    store.fail(ConnectionError("gone"), on=["promote", "renew"], times=2)
    engine.start()
    assert [job.result(PATIENCE) for job in handles] == list(range(500))
    assert set(ran.values()) == {1}


def test_a_lost_answer_to_the_ends_of_jobs_doubles_nothing(make: Start) -> None:
    store = FaultyStore(MemoryStore())
    engine = make(store=store, workers=2)
    seen = events_of(engine.bus)

    @engine.queue("q").task(name="t.work")
    def work(number: int) -> int:
        return number

    store.lose_answers(on="exchange", times=1)
    engine.start()
    handles = [work.enqueue(number) for number in range(20)]
    assert [job.result(PATIENCE) for job in handles] == list(range(20))
    wait_for_jobs(engine, timeout=PATIENCE)
    until(lambda: len([event for event in seen if isinstance(event, ev.JobCompleted)]) >= 20)
    assert Counter(event.id for event in seen if isinstance(event, ev.JobCompleted)) == {job.id: 1 for job in handles}
