"""Cancelling, timing out and dying: a job that is ended from outside, in every kind of isolation."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import pytest

from engine import Context, Engine, Retry, Snooze
from engine.kernel import events as ev
from engine.kernel import faults
from engine.kernel.errors import JobCancelled, JobFailed
from engine.testing import wait_for_jobs
from tests.integration.engine import works
from tests.integration.engine.conftest import Start
from tests.integration.engine.test_outcomes import PATIENCE, ended, view_of
from tests.support.journals import events_of
from tests.support.waiting import until

AT_ONCE = Retry(initial=0.0, maximum=0.0)


def test_waiting_jobs_are_cancelled_at_once(make: Start) -> None:
    engine = make()

    @engine.queue("q").task(name="t.wait")
    def wait() -> None:
        raise AssertionError("it was cancelled before it could run")

    jobs = [wait.enqueue(), wait.enqueue(delay=60)]
    found = engine.cancel([job.id for job in jobs] + ["no-such-job"], by="ann")
    assert list(found.values()) == ["available", "scheduled"]
    engine.start()
    for job in jobs:
        with pytest.raises(JobCancelled, match="ann"):
            job.result(PATIENCE)


def test_a_running_thread_is_asked_to_stop_and_does(engine: Engine) -> None:
    pause = threading.Event()

    @engine.queue("q").task(name="t.loop")
    def loop(ctx: Context) -> None:
        while True:
            ctx.check_cancelled()
            pause.wait(0.01)

    job = loop.enqueue()
    until(lambda: job.state == "running")
    assert job.cancel() == "running"
    assert ended(job).state == "cancelled"


def test_a_thread_that_does_not_listen_ends_as_it_likes(engine: Engine) -> None:
    going, go = threading.Event(), threading.Event()

    @engine.queue("q").task(name="t.deaf")
    def deaf() -> str:
        going.set()
        assert go.wait(PATIENCE)
        return "done"

    job = deaf.enqueue()
    assert going.wait(PATIENCE)
    job.cancel()
    until(lambda: view_of(job).cancelling)
    go.set()
    assert job.result(PATIENCE) == "done"


@pytest.mark.parametrize("error", [ValueError("no"), Snooze(1)], ids=["failure", "snooze"])
def test_a_job_that_was_asked_to_stop_does_not_run_again(engine: Engine, error: Exception) -> None:
    going, go = threading.Event(), threading.Event()

    @engine.queue("q").task(name="t.deaf", max_attempts=5)
    def deaf() -> None:
        going.set()
        assert go.wait(PATIENCE)
        raise error

    job = deaf.enqueue()
    assert going.wait(PATIENCE)
    job.cancel()
    until(lambda: view_of(job).cancelling)
    go.set()
    view = ended(job)
    assert (view.state, view.reason, view.attempt) == ("cancelled", "cancelled while it ran", 1)


def test_a_job_that_was_asked_to_stop_is_given_up_by_an_engine_that_stops(make: Start) -> None:
    engine = make()
    going, go = threading.Event(), threading.Event()

    @engine.queue("q").task(name="t.deaf")
    def deaf() -> None:
        going.set()
        assert go.wait(PATIENCE)

    engine.start()
    job = deaf.enqueue()
    assert going.wait(PATIENCE)
    job.cancel()
    until(lambda: view_of(job).cancelling)
    engine.stop(timeout=2)
    assert engine.views([job.id])[job.id].state == "cancelled"
    go.set()


def test_a_running_coroutine_is_cancelled(engine: Engine) -> None:
    going, cleaned = threading.Event(), threading.Event()

    @engine.queue("q").task(name="t.async", max_attempts=3)
    async def linger() -> None:
        try:
            going.set()
            await asyncio.sleep(600)
        finally:
            cleaned.set()

    job = linger.enqueue()
    assert going.wait(PATIENCE)
    job.cancel()
    assert ended(job).state == "cancelled"
    assert cleaned.wait(PATIENCE)


def test_a_running_process_is_killed(engine: Engine) -> None:
    engine.add(works.linger)
    job = works.linger.enqueue()
    pid = int(until(lambda: view_of(job).progress_message, PATIENCE))
    job.cancel()
    view = ended(job)
    assert (view.state, view.crashes, view.failure) == ("cancelled", 0, None)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_claimed_jobs_that_have_not_begun_are_cancelled_before_they_run(make: Start) -> None:
    engine = make(workers=1)
    go = threading.Event()
    ran: list[int] = []

    @engine.queue("q").task(name="t.hold")
    def hold(n: int) -> None:
        ran.append(n)
        assert n or go.wait(PATIENCE)

    with engine:
        for n in range(1, 200):
            hold.enqueue(n)
        until(lambda: len(ran) == 199)
        ran.clear()
        first, *others = engine.enqueue_many([hold.job(n) for n in range(4)])
        until(lambda: ran)
        engine.cancel([job.id for job in others])
        go.set()
        assert first.wait(PATIENCE)
        assert [ended(job).state for job in others] == ["cancelled"] * 3
        assert ran == [0]


# --- time-outs ---


def test_a_thread_that_runs_too_long_is_interrupted_and_tried_again(engine: Engine) -> None:
    pause = threading.Event()

    @engine.queue("q").task(name="t.slow", timeout=0.1, max_attempts=2, backoff=AT_ONCE)
    def slow() -> None:
        while True:
            pause.wait(0.01)

    with pytest.raises(JobFailed, match=r"after 2 attempts: AttemptTimeout: ran longer than its timeout of 0\.1 s"):
        slow.enqueue().result(PATIENCE)


def test_a_thread_that_hides_its_interrupt_in_another_error_has_timed_out_nevertheless(engine: Engine) -> None:
    pause = threading.Event()

    @engine.queue("q").task(name="t.slow", timeout=0.1)
    def slow() -> None:
        try:
            while True:
                pause.wait(0.01)
        except BaseException as error:
            raise ValueError("something went wrong") from error

    with pytest.raises(JobFailed, match="AttemptTimeout"):
        slow.enqueue().result(PATIENCE)


def test_a_coroutine_and_a_process_that_run_too_long_are_ended(engine: Engine) -> None:
    @engine.queue("q").task(name="t.async", timeout=0.1)
    async def slow() -> None:
        await asyncio.sleep(600)

    engine.add(works.linger)
    jobs = [slow.enqueue(), works.linger.enqueue(timeout=0.3, max_attempts=1)]
    for job in jobs:
        with pytest.raises(JobFailed, match="AttemptTimeout"):
            job.result(PATIENCE)
        assert view_of(job).crashes == 0


def test_the_longest_timeout_there_is_does_no_harm_to_short_ones(engine: Engine) -> None:
    pause = threading.Event()

    @engine.queue("q").task(name="t.slow")
    def slow(seconds: float) -> None:
        for _ in range(int(seconds * 100)):
            pause.wait(0.01)

    long = slow.enqueue(0.3, timeout=99 * 365 * 86_400)
    until(lambda: long.state == "running")
    with pytest.raises(JobFailed, match="AttemptTimeout"):
        slow.enqueue(600, timeout=0.05).result(PATIENCE)
    assert long.result(PATIENCE) is None


def test_a_job_that_is_not_started_in_time_is_cancelled_and_says_why(engine: Engine) -> None:
    @engine.queue("q").task(name="t.late")
    def late() -> None:
        raise AssertionError("too late")

    engine.pause("q")
    job = late.enqueue(expires=0.05)
    with pytest.raises(JobCancelled, match="not started in time"):
        job.result(PATIENCE)


def test_interrupting_tasks_in_the_middle_of_an_enqueue_tears_nothing(make: Start) -> None:
    engine = make(home=True, workers=4)
    queue = engine.queue("q")
    made: list[str] = []

    @queue.task(name="t.child")
    def child(number: int) -> int:
        return number

    @queue.task(name="t.parent", timeout=0.02)
    def parent() -> None:
        for number in range(1_000_000):
            made.append(child.enqueue(number).id)

    engine.start()
    for job in [parent.enqueue(priority="critical") for _ in range(60)]:
        with pytest.raises(JobFailed, match="AttemptTimeout"):
            job.result(PATIENCE)
    wait_for_jobs(engine, timeout=120)
    assert {view.state for view in engine.views(made).values()} == {"completed"}
    assert child.enqueue(7).result(PATIENCE) == 7


# --- deaths of workers ---


@pytest.mark.parametrize("task", [works.die, works.leave], ids=["killed", "exits"])
def test_a_job_that_kills_its_process_three_times_is_poison_and_no_error_is_counted(
    engine: Engine, task: object
) -> None:
    seen = events_of(engine.bus)
    engine.add(task)  # type: ignore[arg-type]
    job = task.enqueue()  # type: ignore[attr-defined]
    view = ended(job)
    assert (view.state, view.crashes, view.reason) == ("dead", 3, ev.POISON)
    until(lambda: any(isinstance(event, ev.JobDied) for event in seen))
    kinds = [type(event) for event in seen if isinstance(event, ev.AttemptEnded)]
    assert kinds == [ev.JobRescued, ev.JobRescued, ev.JobDied]
    assert view.failure is not None and "the job's process ended with" in view.failure.message


def test_a_poisoned_neighbour_does_not_keep_others_from_running(engine: Engine) -> None:
    engine.add(works.die)
    engine.add(works.add)
    bad = works.die.enqueue()
    good = [works.add.enqueue(n, 1) for n in range(5)]
    assert [job.result(PATIENCE) for job in good] == [1, 2, 3, 4, 5]
    assert ended(bad).state == "dead"


def test_a_child_that_dies_while_it_waits_is_no_crash_of_the_next_job(make: Start) -> None:
    engine = make(workers=1)
    engine.add(works.facts)
    with engine:
        pid = works.facts.enqueue().result(PATIENCE)["pid"]
        os.kill(pid, signal.SIGKILL)
        job = works.facts.enqueue(tenant="acme")
        facts = job.result(PATIENCE)
        assert facts["pid"] != pid and facts["tenant"] == "acme" and facts["id"] == job.id
        assert view_of(job).crashes == 0


def test_a_child_is_used_again_but_never_in_the_middle_of_another_job(make: Start) -> None:
    engine = make(workers=1)
    engine.add(works.chatter)
    with engine:
        first, again = (works.chatter.enqueue(3).result(PATIENCE) for _ in range(2))
        assert first == again, "a warm child serves many jobs"
        with pytest.raises(JobFailed, match="at most 100 outputs"):
            works.chatter.enqueue(101).result(PATIENCE)
        assert works.chatter.enqueue(100).result(PATIENCE) == first


def test_a_worker_that_dies_is_replaced_and_its_job_runs_again(make: Start) -> None:
    engine = make(workers=2)
    ran: list[int] = []

    @engine.queue("q").task(name="t.work", max_attempts=1)
    def work() -> str:
        ran.append(1)
        return "done"

    def fall() -> None:
        faults.disarm()
        raise SystemError("the thread is gone")

    with engine:
        faults.arm("attempt.before_finish", fall)
        job = work.enqueue()
        assert job.result(PATIENCE) == "done"
        assert len(ran) == 2 and view_of(job).crashes == 1
        until(lambda: engine.load().busy == 0)
        assert [work.enqueue().result(PATIENCE) for _ in range(4)] == ["done"] * 4
