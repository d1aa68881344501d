from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.kernel.errors import Cancel, JobCancelled, JobFailed, RetryAfter, Snooze, UnknownTask
from engine.kernel.job import JobState
from engine.queue.context import Context
from engine.queue.retry import Retry
from engine.queue.task import task
from engine.testing import Harness
from tests.unit.engine.queue.tasks_of_a_user import crunch

calls: list[str] = []


@task(queue="emails", max_attempts=3, backoff=Retry(initial=5, jitter=False))
def flaky(ctx: Context, fail: int) -> int:
    if ctx.attempt <= fail:
        raise ValueError(f"attempt {ctx.attempt}")
    return ctx.attempt


@task
def patient(until: float) -> str:
    if until > 0:
        patient_left.append(until)
        if len(patient_left) < until:
            raise Snooze(3600, "not yet")
    return "done"


patient_left: list[float] = []


@task(max_attempts=2)
def polite() -> None:
    raise RetryAfter(120)


@task
def note(text: str, when: datetime.date | None = None, path: Path | None = None) -> str:
    calls.append(text)
    return text


@task
def give_up() -> None:
    raise Cancel("enough")


@task
async def later(text: str) -> str:
    return text.upper()


@task
def for_ever() -> None:
    for_ever.enqueue()


@pytest.fixture
def jobs() -> Iterator[Harness]:
    calls.clear()
    patient_left.clear()
    tasks = [flaky, patient, polite, note, give_up, later, for_ever, crunch]
    with Harness(tasks) as harness:
        yield harness


def test_jobs_run_in_the_order_of_their_priority(jobs: Harness) -> None:
    for text, priority in (("last", "low"), ("first", "critical"), ("second", "normal")):
        note.enqueue(text, priority=priority)
    jobs.run()
    assert calls == ["first", "second", "last"]


def test_backoff_passes_on_the_clock_alone(jobs: Harness) -> None:
    began = jobs.clock.now()
    assert jobs.perform(flaky, fail=2) == 3
    assert jobs.clock.now() - began == pytest.approx(5 + 10, abs=0.1)


def test_run_leaves_what_is_not_due(jobs: Harness) -> None:
    job = flaky.enqueue(fail=1)
    assert [view.state for view in jobs.run()] == ["retryable"]
    assert jobs.run() == []
    jobs.advance(4.9)
    assert jobs.run() == []
    jobs.advance(0.2)
    jobs.run()
    jobs.assert_completed(job, result=2)


def test_snoozes_and_polite_waits_pass_too(jobs: Harness) -> None:
    began = jobs.clock.now()
    assert jobs.perform(patient, until=3) == "done"
    assert jobs.clock.now() - began == pytest.approx(2 * 3600, abs=1)
    with pytest.raises(JobFailed, match="asked to wait 120 s"):
        jobs.perform(polite)


def test_every_isolation_runs(jobs: Harness) -> None:
    assert jobs.perform(later, "x") == "X"
    assert jobs.perform(crunch, [1, 2, 3]) == 6


def test_a_cancelled_job_says_so(jobs: Harness) -> None:
    with pytest.raises(JobCancelled):
        jobs.perform(give_up)


def test_a_paused_queue_is_left_alone(jobs: Harness) -> None:
    jobs.engine.pause("default")
    note.enqueue("x")
    assert jobs.run() == []
    jobs.engine.resume("default")
    assert len(jobs.run()) == 1


def test_a_job_without_end_ends_the_test(jobs: Harness) -> None:
    for_ever.enqueue()
    with pytest.raises(AssertionError, match="still busy after 50 attempts"):
        jobs.run(most=50)


def test_enqueued_jobs_are_found_by_what_is_known_of_them(jobs: Harness) -> None:
    note.enqueue(
        "a", when=datetime.date(2026, 1, 2), path=Path("/x"), tenant="acme", priority="high", metadata={"by": "me"}
    )
    note.enqueue("b", queue="other")
    [found] = jobs.enqueued(note, args={"when": datetime.date(2026, 1, 2), "path": Path("/x")}, tenant="acme")
    assert (found.args["text"], found.metadata, found.priority) == ("a", {"by": "me"}, 3)
    assert len(jobs.enqueued("nothing")) == 0
    assert [job.args["text"] for job in jobs.enqueued(queue="other")] == ["b"]
    assert len(jobs.enqueued()) == 2


def test_a_failed_assertion_tells_what_was_enqueued(jobs: Harness) -> None:
    note.enqueue("a")
    with pytest.raises(AssertionError, match=r"found 0; enqueued were:\n.*note \{'text': 'a'\} on default"):
        jobs.assert_enqueued(note, args={"text": "b"})
    with pytest.raises(AssertionError, match="expected 2 of"):
        jobs.assert_enqueued(note, count=2)
    with pytest.raises(AssertionError, match="expected 0 of"):
        jobs.assert_not_enqueued(note)


def test_a_failed_assertion_about_a_job_tells_what_it_is(jobs: Harness) -> None:
    job = flaky.enqueue(fail=9)
    with pytest.raises(AssertionError, match="to be completed, it is available"):
        jobs.assert_completed(job)
    jobs.run_until_idle()
    with pytest.raises(AssertionError, match="to be completed, it is dead: ValueError: attempt 3"):
        jobs.assert_completed(job)
    with pytest.raises(AssertionError, match="to die of KeyError"):
        jobs.assert_failed(job, KeyError)
    jobs.assert_failed(job, ValueError, "attempt 3")
    done = note.enqueue("x")
    jobs.run()
    with pytest.raises(AssertionError, match="to give 'y', it gave 'x'"):
        jobs.assert_completed(done, result="y")
    with pytest.raises(AssertionError, match="it is unknown"):
        jobs.assert_state("no-such-job", JobState.DEAD)


def test_what_a_task_said_is_told_with_its_end(jobs: Harness) -> None:
    told: list[object] = []
    jobs.engine.bus.subscribe(told.extend)

    @task
    def talk(ctx: Context) -> None:
        ctx.progress(0.5, "half")
        ctx.log.info("line %d", 1)
        ctx.output("rows", [1])

    jobs.engine.add(talk)
    jobs.perform(talk)
    names = [type(event).__name__ for event in told]
    assert {"JobProgressed", "JobLogged", "JobOutput"} <= set(names)
    assert names[-1] == "JobCompleted"


def test_two_harnesses_know_nothing_of_each_other() -> None:
    with Harness([note]) as one:
        note.enqueue("one")
        with Harness() as other:
            with pytest.raises(UnknownTask):
                other.engine.enqueue(note.name, {"text": "x"})
            assert other.run() == []
        assert len(one.run()) == 1
