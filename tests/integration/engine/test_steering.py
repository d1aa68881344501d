"""Steering the workers of a running engine: more of them, fewer, none for a while; and who may run what."""

from __future__ import annotations

import threading

import pytest

from engine import Engine
from engine.kernel.errors import ValidationError
from engine.kernel.job import JobState
from tests.integration.engine.conftest import Start
from tests.integration.engine.test_outcomes import PATIENCE
from tests.support.waiting import until


def together(engine: Engine, jobs: int) -> tuple[list[int], threading.Event]:
    """Enqueue jobs that stay until let go; how many run at the same time is counted."""
    running: list[int] = []
    go = threading.Event()

    @engine.queue("q").task(name="t.stay")
    def stay() -> None:
        running.append(1)
        go.wait(PATIENCE)

    engine.enqueue_many([stay.job() for _ in range(jobs)])
    return running, go


def test_workers_are_added_while_the_engine_runs(make: Start) -> None:
    engine = make(workers=1)
    engine.start()
    running, go = together(engine, 3)
    until(lambda: len(running) == 1, what="the first runs")
    engine.scale(3)
    until(lambda: len(running) == 3, what="all run")
    assert engine.load().slots == 3
    go.set()


def threads_of(engine: Engine) -> int:
    assert engine._pool is not None
    return sum(thread.is_alive() for _, thread in engine._pool.worker_threads)


def test_workers_that_are_too_many_leave_after_their_present_job(make: Start) -> None:
    engine = make(workers=3)
    engine.start()
    running, go = together(engine, 3)
    until(lambda: len(running) == 3, what="all run")
    engine.scale(1)
    assert engine.load().slots == 1
    go.set()
    until(lambda: threads_of(engine) == 1, what="two left")
    assert engine.enqueue("t.stay").result(timeout=PATIENCE) is None


def test_a_paused_engine_starts_nothing_and_goes_on_where_it_stopped(make: Start) -> None:
    engine = make(workers=2)
    engine.start()
    engine.halt()
    running, go = together(engine, 2)
    go.set()
    assert engine.paused
    assert engine.counts()["q"][JobState.AVAILABLE] == 2 and not running
    engine.go_on()
    until(lambda: len(running) == 2, what="both ran")


def test_jobs_run_only_where_their_capabilities_are(make: Start) -> None:
    plain = make(workers=1)
    plain.start()
    ran: list[str] = []

    @plain.queue("q").task(name="t.see", capabilities=("gpu",))
    def see() -> None:
        ran.append("gpu")

    @plain.queue("q").task(name="t.blind")
    def blind() -> None:
        ran.append("plain")

    waiting = see.enqueue()
    blind.enqueue().result(timeout=PATIENCE)
    view = waiting.view()
    why = plain.why_waiting(view)
    assert ran == ["plain"] and view.needs == "gpu"
    assert why is not None and why.reason == "capability" and "gpu" in why.text


@pytest.mark.parametrize("workers", [0, 257])
def test_a_number_of_workers_that_cannot_be_is_refused(make: Start, workers: int) -> None:
    engine = make(workers=1)
    engine.start()
    with pytest.raises(ValidationError, match="from 1 to 256"):
        engine.scale(workers)
