from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from engine.kernel.errors import AttemptTimeout, Cancel
from engine.kernel.shield import shielded
from engine.workers.isolation import Loop, LoopBody, ThreadBody
from tests.support.waiting import until


class Late(Exception):
    """What a call is interrupted with."""


def spin(stop: threading.Event) -> str:
    while not stop.is_set():
        stop.wait(0.001)
    return "done"


def run_in_thread(body: ThreadBody) -> tuple[threading.Thread, list[Any]]:
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(body.run())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def test_a_thread_is_interrupted_with_the_error_it_is_told() -> None:
    body = ThreadBody(lambda: spin(threading.Event()))
    thread, outcome = run_in_thread(body)
    until(lambda: body._thread)
    body.interrupt(Late("enough"))
    body.interrupt(AttemptTimeout("second"))
    thread.join(30)
    assert isinstance(outcome[0], Late), "the first interrupt counts"


def test_an_interrupt_that_comes_before_the_call_keeps_it_from_beginning() -> None:
    ran: list[int] = []
    body = ThreadBody(lambda: ran.append(1))
    body.interrupt(Late("early"))
    with pytest.raises(Late, match="early"):
        body.run()
    assert not ran


def test_an_interrupt_after_the_end_does_no_harm() -> None:
    body = ThreadBody(lambda: 1)
    assert body.run() == 1
    body.interrupt(Late())
    assert sum(range(10_000)) == 49_995_000


def test_an_interrupt_at_the_very_end_never_leaves_the_body() -> None:
    escaped: list[BaseException] = []
    outcomes: list[Any] = []

    def worker() -> None:
        try:
            for _ in range(300):
                body = ThreadBody(lambda: sum(range(200)))
                bodies.append(body)
                try:
                    outcomes.append(body.run())
                except Late:
                    outcomes.append("late")
                for _ in range(20):
                    continue
        except BaseException as error:
            escaped.append(error)

    bodies: list[ThreadBody] = []
    thread = threading.Thread(target=worker)
    thread.start()
    hit = 0
    while thread.is_alive():
        if len(bodies) > hit:
            hit = len(bodies)
            bodies[-1].interrupt(Late())
    thread.join(30)
    assert not escaped and len(outcomes) == 300
    assert set(outcomes) <= {"late", 19_900}


def test_a_call_that_swallows_its_interrupt_goes_on() -> None:
    stop, listening = threading.Event(), threading.Event()

    def stubborn() -> str:
        try:
            listening.set()
            return spin(threading.Event())
        except BaseException:
            return spin(stop)

    body = ThreadBody(stubborn)
    thread, outcome = run_in_thread(body)
    assert listening.wait(30)
    body.interrupt(Late())
    stop.set()
    thread.join(30)
    assert outcome == ["done"]


def test_an_interrupt_waits_for_the_end_of_a_shielded_call() -> None:
    inside, go = threading.Event(), threading.Event()
    steps: list[str] = []

    @shielded
    def inner() -> None:
        steps.append("inner")

    @shielded
    def enqueue() -> None:
        inside.set()
        assert go.wait(30)
        for _ in range(1_000):
            continue
        inner()
        steps.append("whole")

    def task() -> None:
        enqueue()
        steps.append("the task went on")

    body = ThreadBody(task)
    thread, outcome = run_in_thread(body)
    assert inside.wait(30)
    body.interrupt(Late("enough"))
    go.set()
    thread.join(30)
    assert steps == ["inner", "whole"]
    assert isinstance(outcome[0], Late)


def test_a_shielded_call_that_fails_passes_its_error_on_unless_an_interrupt_came() -> None:
    @shielded
    def fail() -> None:
        raise ValueError("no room")

    with pytest.raises(ValueError, match="no room"):
        ThreadBody(fail).run()
    with pytest.raises(ValueError, match="no room"):
        fail()


def test_whatever_the_moment_a_shielded_call_is_whole() -> None:
    halves = [0, 0]

    def tally() -> int:
        return 1

    @shielded
    def both() -> None:
        halves[0] += tally()
        halves[1] += tally()

    def for_ever() -> None:
        while True:
            both()

    for _ in range(200):
        body = ThreadBody(for_ever)
        thread, outcome = run_in_thread(body)
        until(lambda: halves[0] % 7)
        body.interrupt(Late())
        thread.join(30)
        assert isinstance(outcome[0], Late) and halves[0] == halves[1]


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.stop()


async def _forever() -> None:
    await asyncio.sleep(600)


def test_a_coroutine_is_cancelled_before_and_while_it_runs(loop: Loop) -> None:
    early = LoopBody(_forever, loop)
    early.interrupt(Cancel("early"))
    with pytest.raises(Cancel, match="early"):
        early.run()
    body = LoopBody(_forever, loop)
    thread, outcome = run_in_thread(body)  # type: ignore[arg-type]
    until(lambda: body._future)
    body.interrupt(Late("stop"))
    thread.join(30)
    assert isinstance(outcome[0], Late)


def test_a_loop_that_hangs_at_the_end_is_closed_when_it_hangs_no_more(loop: Loop) -> None:
    hanging, go = threading.Event(), threading.Event()

    async def hang() -> None:
        hanging.set()
        go.wait(30)

    runner, _ = run_in_thread(LoopBody(hang, loop))  # type: ignore[arg-type]
    assert hanging.wait(30)
    turning, thread = loop._loop, loop._thread
    assert turning is not None and thread is not None
    loop.stop()
    assert thread.is_alive() and not turning.is_closed()
    go.set()
    thread.join(30)
    runner.join(30)
    assert turning.is_closed()


def test_a_coroutine_that_cancels_itself_is_told_from_one_that_was_interrupted(loop: Loop) -> None:
    async def leave() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError, match="cancelled itself"):
        LoopBody(leave, loop).run()


@pytest.mark.parametrize("error", [SystemExit(2), KeyboardInterrupt()])
def test_what_would_end_the_loop_is_carried_out_of_it(loop: Loop, error: BaseException) -> None:
    async def leave() -> None:
        raise error

    async def stay() -> int:
        return 1

    with pytest.raises(type(error)):
        LoopBody(leave, loop).run()
    assert LoopBody(stay, loop).run() == 1, "the loop goes on"


def test_coroutines_share_one_loop_and_run_at_the_same_time(loop: Loop) -> None:
    met = threading.Barrier(3)

    async def meet() -> int:
        await asyncio.to_thread(met.wait, 30)
        return threading.get_ident()

    bodies = [LoopBody(meet, loop) for _ in range(3)]
    runs = [run_in_thread(body) for body in bodies]  # type: ignore[arg-type]
    for thread, _ in runs:
        thread.join(30)
    assert len({outcome[0] for _, outcome in runs}) == 1
