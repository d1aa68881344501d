"""What becomes of a job, however its task ends, in every kind of isolation."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from engine import Cancel, Context, Discard, Engine, Retry, RetryAfter, Snooze
from engine.handle import Handle
from engine.kernel import events as ev
from engine.kernel.errors import JobCancelled, JobFailed, NotFound, ResultTimeout
from engine.kernel.job import JobView
from tests.integration.engine import works
from tests.integration.engine.conftest import Start
from tests.support.journals import events_of
from tests.support.waiting import until

AT_ONCE = Retry(initial=0.0, maximum=0.0)
#: seconds that a child process may take to start on a busy machine
PATIENCE = 30


def view_of(handle: Handle) -> JobView:
    view = handle.view()
    assert view is not None
    return view


def ended(handle: Handle, seconds: float = PATIENCE) -> JobView:
    assert handle.wait(seconds), f"{handle} is {handle.state}"
    return view_of(handle)


def test_a_function_a_coroutine_and_a_process_give_their_results(engine: Engine) -> None:
    queue = engine.queue("q")

    @queue.task(name="t.sync")
    def double(n: int) -> int:
        return n * 2

    @queue.task(name="t.async")
    async def later(text: str) -> str:
        await asyncio.sleep(0)
        return text.upper()

    engine.add(works.add)
    assert double.enqueue(21).result(PATIENCE) == 42
    assert later.enqueue("x").result(PATIENCE) == "X"
    assert works.add.enqueue(2, b=3).result(PATIENCE) == 5


def test_a_failing_task_is_tried_again_and_then_dead_with_a_fingerprint(engine: Engine) -> None:
    attempts: list[int] = []

    @engine.queue("q").task(name="t.fail", max_attempts=3, backoff=Retry(initial=0.01, maximum=0.02))
    def fail(ctx: Context, text: str) -> None:
        attempts.append(ctx.attempt)
        raise ValueError(text)

    one, other = fail.enqueue("order 12 is odd"), fail.enqueue("order 14 is odd")
    with pytest.raises(JobFailed, match="failed after 3 attempts: ValueError: order 12 is odd"):
        one.result(PATIENCE)
    assert ended(other).state == "dead"
    assert sorted(attempts) == [1, 1, 2, 2, 3, 3]
    first, second = view_of(one).failure, view_of(other).failure
    assert first is not None and second is not None
    assert "raise ValueError" in first.traceback and first.fingerprint
    assert first.fingerprint == second.fingerprint, "equal causes are grouped"


def test_a_task_that_fails_once_completes_at_its_second_attempt(engine: Engine) -> None:
    @engine.queue("q").task(name="t.flaky", max_attempts=2, backoff=AT_ONCE)
    def flaky(ctx: Context) -> int:
        if ctx.attempt == 1:
            raise ConnectionError
        return ctx.attempt

    assert flaky.enqueue().result(PATIENCE) == 2


def test_rules_for_exceptions_are_kept(engine: Engine) -> None:
    policy = Retry(initial=0, maximum=0, never=(KeyError,), rules={"OSError": 2})

    @engine.queue("q").task(name="t.rules", max_attempts=4, backoff=policy)
    def fail(kind: str) -> None:
        raise {"key": KeyError, "os": ConnectionError, "value": ValueError}[kind](kind)

    jobs = {kind: fail.enqueue(kind) for kind in ("key", "os", "value")}
    assert {kind: ended(job).attempt for kind, job in jobs.items()} == {"key": 1, "os": 2, "value": 4}


def test_a_snooze_uses_up_no_attempt(engine: Engine) -> None:
    seen: list[int] = []

    @engine.queue("q").task(name="t.snooze", max_attempts=1)
    def patient(ctx: Context) -> str:
        seen.append(ctx.attempt)
        if len(seen) < 4:
            raise Snooze(0.01, "not yet")
        return "done"

    assert patient.enqueue().result(PATIENCE) == "done"
    assert seen == [1, 1, 1, 1]


def test_the_reason_of_a_snooze_is_seen_while_it_waits(engine: Engine) -> None:
    @engine.queue("q").task(name="t.snooze")
    def patient() -> None:
        raise Snooze(60, "the kiln is cold")

    job = patient.enqueue()
    until(lambda: job.state == "scheduled")
    why = engine.why_waiting(view_of(job))
    assert why is not None and "the kiln is cold" in why.text


def test_retry_after_waits_as_long_as_it_was_told(engine: Engine) -> None:
    @engine.queue("q").task(name="t.after", max_attempts=2, backoff=AT_ONCE)
    def polite() -> None:
        raise RetryAfter(120)

    job = polite.enqueue()
    until(lambda: job.state == "retryable")
    view = view_of(job)
    assert 60 < view.run_at - engine.clock.now() <= 120 and view.attempt == 1


def test_discard_and_cancel_end_a_job_at_once(engine: Engine) -> None:
    @engine.queue("q").task(name="t.end", max_attempts=5)
    def stop(how: str) -> None:
        raise Discard("no such order") if how == "discard" else Cancel("sold out")

    discarded, cancelled = stop.enqueue("discard"), stop.enqueue("cancel")
    with pytest.raises(JobFailed, match="no such order"):
        discarded.result(PATIENCE)
    with pytest.raises(JobCancelled, match="sold out"):
        cancelled.result(PATIENCE)
    assert (view_of(discarded).attempt, view_of(cancelled).failure) == (1, None)


def test_a_process_decides_as_a_thread_does(engine: Engine) -> None:
    engine.add(works.decide)
    engine.add(works.fail)
    jobs = {how: works.decide.enqueue(how) for how in ("snooze", "cancel", "discard", "go")}
    failed = works.fail.enqueue("gone")
    until(lambda: jobs["snooze"].state == "scheduled", PATIENCE)
    assert [ended(jobs[how]).state for how in ("cancel", "discard", "go")] == ["cancelled", "dead", "completed"]
    failure = ended(failed).failure
    assert failure is not None and (failure.type, failure.message) == ("LookupError", "gone")
    assert view_of(failed).attempt == 2


class Odd(BaseException):
    """An exception that nobody catches by accident."""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SystemExit(3), "sys.exit"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (Odd(), "Odd"),
    ],
)
@pytest.mark.parametrize("kind", ["thread", "loop"])
def test_what_would_end_a_thread_ends_the_attempt_only(make: Start, kind: str, error: BaseException, told: str) -> None:
    engine = make(workers=1)
    queue = engine.queue("q")

    def raise_it() -> None:
        raise error

    async def raise_it_later() -> None:
        await asyncio.sleep(0)
        raise error

    declared = queue.task(name="t.bad", max_attempts=2, backoff=AT_ONCE)
    bad = declared(raise_it if kind == "thread" else raise_it_later)

    async def good() -> str:
        return "still here"

    fine = queue.task(name="t.good")(good)
    seen = events_of(engine.bus)
    engine.start()
    with pytest.raises(JobFailed, match=f"after 2 attempts: TaskExit: .*{told}"):
        bad.enqueue().result(PATIENCE)
    assert fine.enqueue().result(PATIENCE) == "still here"
    assert not [event for event in seen if isinstance(event, ev.JobRescued)]


def test_a_process_that_exits_or_breaks_off_politely_has_failed(engine: Engine) -> None:
    for task, told in ((works.exit_politely, "SystemExit: enough"), (works.break_off, "GeneratorExit")):
        engine.add(task)
        with pytest.raises(JobFailed, match=told):
            task.enqueue().result(PATIENCE)


def test_endless_recursion_is_a_failure_like_any_other(engine: Engine) -> None:
    @engine.queue("q").task(name="t.deep")
    def deep(n: int) -> int:
        return deep.spec.func(n + 1) + 1

    with pytest.raises(JobFailed, match="RecursionError"):
        deep.enqueue(0).result(PATIENCE)


def test_an_exception_that_cannot_be_told_is_told_anyway(engine: Engine) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    @engine.queue("q").task(name="t.mute")
    def mute() -> None:
        raise Mute

    with pytest.raises(JobFailed, match="Mute"):
        mute.enqueue().result(PATIENCE)


class Stubborn:
    """Looks like a model and fails to become plain."""

    def model_dump(self, mode: str) -> Any:
        raise RuntimeError("will not")


@pytest.mark.parametrize(
    ("value", "told"),
    [("x" * 2_000_000, "expected at most"), (object(), "cannot be sent as JSON"), (Stubborn(), "cannot be sent"),
     (float("nan"), "expected a number that JSON can hold")],
    ids=["huge", "object", "stubborn", "nan"],
)  # fmt: skip
def test_a_result_that_cannot_be_kept_is_a_clear_failure_and_not_tried_again(
    engine: Engine, value: Any, told: str
) -> None:
    @engine.queue("q").task(name="t.result", max_attempts=3)
    def give() -> Any:
        return value

    with pytest.raises(JobFailed, match=f"after 1 attempts: .*result.*{told}"):
        give.enqueue().result(PATIENCE)


def test_a_process_with_a_huge_result_fails_as_clearly(engine: Engine) -> None:
    engine.add(works.huge)
    with pytest.raises(JobFailed, match="after 1 attempts: Discard: result: expected at most"):
        works.huge.enqueue(3_000_000).result(PATIENCE)


def test_a_result_is_asked_for_in_vain(engine: Engine) -> None:
    @engine.queue("q").task(name="t.later")
    def later() -> None:
        return None

    with pytest.raises(NotFound, match="unknown here"):
        engine.job("no-such-job").result(PATIENCE)
    job = later.enqueue(delay=600)
    with pytest.raises(ResultTimeout, match=r"is scheduled, it has not ended within 0\.05 s"):
        job.result(0.05)
    job.cancel(by="me")
    with pytest.raises(JobCancelled, match="me"):
        job.result(PATIENCE)


def test_waiting_is_over_in_time_however_often_the_job_fails_meanwhile(engine: Engine) -> None:
    @engine.queue("q").task(name="t.fail", max_attempts=1_000_000, backoff=Retry(initial=0.01, maximum=0.01))
    def fail() -> None:
        raise ValueError

    job = fail.enqueue()
    before = engine.clock.monotonic()
    assert not job.wait(0.5)
    assert 0.5 <= engine.clock.monotonic() - before < PATIENCE
    job.cancel()


def test_a_job_enqueued_by_a_job_runs(engine: Engine) -> None:
    queue = engine.queue("q")

    @queue.task(name="t.child")
    def child(n: int) -> int:
        return n + 1

    @queue.task(name="t.parent")
    def parent(n: int) -> str:
        return str(child.enqueue(n).id)

    assert engine.job(parent.enqueue(1).result(PATIENCE)).result(PATIENCE) == 2


def test_a_parent_may_wait_for_its_child_with_one_worker_less(engine: Engine) -> None:
    queue = engine.queue("q")

    @queue.task(name="t.child")
    def child(n: int) -> int:
        return n + 1

    @queue.task(name="t.parent")
    def parent(n: int) -> Any:
        return child.enqueue(n).result(PATIENCE)

    jobs = [parent.enqueue(n) for n in range(3)]
    assert [job.result(PATIENCE) for job in jobs] == [1, 2, 3]


def test_the_interpreter_keeps_its_recursion_limit(engine: Engine) -> None:
    limit = sys.getrecursionlimit()
    engine.add(works.add)
    works.add.enqueue(1, 1).result(PATIENCE)
    assert sys.getrecursionlimit() == limit
