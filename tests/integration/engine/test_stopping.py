"""Stopping, starting again on the same home, and what is remembered in between."""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from engine import Context, Engine, JobRequest, Settings, StoreFull
from engine.kernel import events as ev
from engine.kernel.clock import SystemClock
from engine.kernel.errors import JobFailed, Stopped, StoreOwned, UnknownTask, ValidationError
from engine.kernel.job import new_id
from engine.storage.memory import MemoryStore
from engine.testing import FaultyStore
from tests.integration.engine import works
from tests.integration.engine.conftest import Start
from tests.integration.engine.test_outcomes import PATIENCE, ended, view_of
from tests.support.journals import events_of
from tests.support.waiting import until

clock = SystemClock()
#: sleeping in C for good, where nothing can interrupt a thread
sleep_in_c = time.sleep


def test_unfinished_jobs_of_every_kind_are_handed_back_without_an_error_and_run_again(make: Start) -> None:
    first = make(home=True, workers=4)
    seen = events_of(first.bus)
    started: list[str] = []

    def declare(engine: Engine, quick: bool) -> list[Any]:
        queue = engine.queue("q")

        @queue.task(name="t.python", max_attempts=1)
        def python() -> str:
            started.append("python")
            while not quick:
                threading.Event().wait(0.01)
            return "python"

        @queue.task(name="t.c", max_attempts=1)
        def in_c() -> str:
            started.append("c")
            sleep_in_c(0 if quick else 60)
            return "c"

        @queue.task(name="t.loop", max_attempts=1)
        async def loop() -> str:
            started.append("loop")
            await asyncio.sleep(0 if quick else 600)
            return "loop"

        return [python, in_c, loop]

    tasks = declare(first, quick=False)
    first.add(works.linger)
    first.start()
    jobs = [task.enqueue() for task in tasks] + [works.linger.enqueue()]
    until(lambda: len(started) == 3 and view_of(jobs[-1]).progress, PATIENCE)
    before = clock.monotonic()
    first.stop(timeout=9)
    assert clock.monotonic() - before < 45
    ends = [event for event in seen if isinstance(event, ev.AttemptEnded)]
    assert [type(event) for event in ends] == [ev.JobReleased] * 4
    assert all(event.failure is None and event.started_at for event in ends)
    assert isinstance(seen[-1], ev.AgentStopped)

    again = make(home=True)
    declare(again, quick=True)
    again.start()
    assert [again.job(job.id).result(PATIENCE) for job in jobs[:3]] == ["python", "c", "loop"]
    assert {view_of(again.job(job.id)).crashes for job in jobs} == {0}


def test_a_job_that_ends_within_the_grace_is_not_cut_off(make: Start) -> None:
    engine = make()
    going = threading.Event()

    @engine.queue("q").task(name="t.short")
    def short() -> str:
        going.set()
        threading.Event().wait(0.3)
        return "done"

    engine.start()
    job = short.enqueue()
    assert going.wait(PATIENCE)
    engine.stop(timeout=60)
    assert view_of(job).state == "completed"


def test_a_task_may_stop_its_own_engine_and_is_handed_back(make: Start) -> None:
    engine = make(home=True)
    again = False

    @engine.queue("q").task(name="t.stop", max_attempts=1)
    def stop() -> str:
        if not again:
            engine.stop()
        return "done"

    engine.start()
    job = stop.enqueue()
    until(lambda: engine._ended.is_set(), what="it stopped")
    again = True
    other = make(home=True)
    other.add(stop)
    other.start()
    assert other.job(job.id).result(PATIENCE) == "done"


def test_nothing_is_taken_while_and_after_it_stops(make: Start) -> None:
    engine = make()

    @engine.queue("q").task(name="t.none")
    def nothing() -> None:
        return None

    waiting = nothing.enqueue()
    told: list[BaseException] = []

    def wait() -> None:
        try:
            waiting.result()
        except Stopped as error:
            told.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    engine.stop()
    waiter.join(PATIENCE)
    assert told, "who waits without a limit is let go"
    with pytest.raises(Stopped, match="takes no more jobs"):
        nothing.enqueue()
    with pytest.raises(Stopped, match="make a new one"):
        engine.start()
    engine.stop()


def test_a_stop_does_not_wait_for_a_store_that_cannot_write(make: Start) -> None:
    store = FaultyStore(MemoryStore())
    engine = make(store=store)
    going, go = threading.Event(), threading.Event()

    @engine.queue("q").task(name="t.work")
    def work() -> None:
        going.set()
        assert go.wait(PATIENCE)

    engine.start()
    work.enqueue()
    assert going.wait(PATIENCE)
    store.disconnect()
    go.set()
    before = clock.monotonic()
    engine.stop(timeout=2)
    assert clock.monotonic() - before < PATIENCE


def test_a_stop_does_not_wait_for_a_disk_that_is_full(make: Start) -> None:
    engine = make(home=True)
    going, go = threading.Event(), threading.Event()

    @engine.queue("q").task(name="t.work")
    def work() -> None:
        going.set()
        assert go.wait(PATIENCE)

    engine.start()
    jobs = engine.enqueue_many([work.job() for _ in range(20)])
    assert going.wait(PATIENCE)
    until(lambda: engine.load().busy == 4)
    shelf: Any = engine.store.journal.shelf  # type: ignore[attr-defined]
    true_add = shelf.add

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    shelf.add = full
    go.set()
    until(lambda: engine.store.journal.trouble)  # type: ignore[attr-defined]
    with pytest.raises(StoreFull):
        work.enqueue()
    before = clock.monotonic()
    engine.stop()
    assert clock.monotonic() - before < PATIENCE
    shelf.add = true_add

    again = make(home=True)

    @again.queue("q").task(name="t.work")
    def work_again() -> str:
        return "again"

    again.start()
    for job in jobs:
        assert ended(again.job(job.id)).state == "completed", "what could not be written is done again"


def test_running_jobs_finish_on_a_full_store_and_new_ones_are_refused(make: Start) -> None:
    engine = make(home=True, store_limit=16 * 2**20)
    going, go = threading.Event(), threading.Event()

    @engine.queue("q").task(name="t.work")
    def work(text: str = "") -> int:
        going.set()
        assert go.wait(PATIENCE)
        return len(text)

    engine.start()
    first = work.enqueue("a")
    assert going.wait(PATIENCE)
    engine.pause("q")
    with pytest.raises(StoreFull) as full:
        while True:
            work.enqueue(secrets.token_urlsafe(600_000))
    assert full.value.retry_after > 0
    go.set()
    assert first.result(PATIENCE) == 1


def test_a_second_engine_on_one_home_is_told_who_owns_it(make: Start, tmp_path: Path) -> None:
    first = make(home=True)
    with pytest.raises(StoreOwned, match=str(os.getpid())):
        Engine(Settings(home=tmp_path / "home"))
    first.stop()
    make(home=True)


def test_a_paused_queue_stays_paused_over_a_restart(make: Start) -> None:
    def with_task(engine: Engine) -> Any:
        return engine.queue("q").task(name="t.work")(_answer)

    first = make(home=True)
    task = with_task(first)
    first.start()
    first.pause("q", by="ann")
    job = task.enqueue()
    first.stop()

    again = make(home=True)
    with_task(again)
    again.start()
    assert next(info for info in again.queues() if info.name == "q").paused
    assert not again.job(job.id).wait(0.3)
    why = again.why_waiting(view_of(again.job(job.id)))
    assert why is not None and why.reason == "paused"
    again.resume("q")
    assert again.job(job.id).result(PATIENCE) == 42


def _answer() -> int:
    return 42


@pytest.mark.parametrize("restart", [False, True], ids=["same process", "after a restart"])
def test_keys_name_the_first_job(make: Start, restart: bool) -> None:
    engine = make(home=True)
    task = engine.queue("q").task(name="t.work")(_answer)
    first = task.enqueue(idempotency_key="order-1")
    held = task.enqueue(unique_key="nightly", delay=600)
    other_tenant = task.enqueue(idempotency_key="order-1", tenant="acme")
    if restart:
        engine.stop()
        engine = make(home=True)
        task = engine.queue("q").task(name="t.work")(_answer)
    engine.start()
    assert engine.job(first.id).result(PATIENCE) == 42
    again, blocked = task.enqueue(idempotency_key="order-1"), task.enqueue(unique_key="nightly")
    assert (again.id, again.new) == (first.id, False), "also after it ended"
    assert (blocked.id, blocked.new) == (held.id, False)
    assert other_tenant.new and other_tenant.id != first.id, "keys of one tenant say nothing about another's"
    engine.job(held.id).cancel()
    assert task.enqueue(unique_key="nightly").new, "a unique key is free once its job has ended"


def test_a_unique_task_is_there_once_per_arguments(engine: Engine) -> None:
    @engine.queue("q").task(name="t.unique", unique=["user"])
    def sync(user: int, why: str = "") -> None:
        return None

    engine.pause("q")
    first, same, other = sync.enqueue(1, why="a"), sync.enqueue(1, why="b"), sync.enqueue(2)
    assert same.id == first.id and not same.new and other.new
    engine.resume("q")


def test_many_are_enqueued_all_or_none(make: Start) -> None:
    engine = make(home=True)
    task = engine.queue("q").task(name="t.length")(_length)
    with pytest.raises(ValidationError) as wrong:
        engine.enqueue_many([task.job(text="a"), JobRequest("t.length", {"text": 5})])
    assert wrong.value.field == "args.text"
    assert not engine.counts().get("q", {}).get("available")
    assert len(engine.enqueue_many([task.job(text="a")] * 3)) == 3


def _length(text: str) -> int:
    return len(text)


def test_submit_takes_what_is_right_and_tells_what_is_wrong_in_order(engine: Engine) -> None:
    task = engine.queue("q").task(name="t.length")(_length)
    key = {"idempotency_key": "k"}
    requests = [
        task.job(text="abc", **key), JobRequest("t.lenght"), JobRequest("t.length", {"text": 5}),
        JobRequest("t.length", {"text": "x"}, priority=99), task.job(text="abc", **key),
    ]  # fmt: skip
    answers = engine.submit(requests)
    assert isinstance(answers[1], UnknownTask) and "did you mean 't.length'" in str(answers[1])
    assert [error.field for error in answers[2:4] if isinstance(error, ValidationError)] == ["args.text", "priority"]
    first, twin = answers[0], answers[4]
    assert not isinstance(first, Exception) and not isinstance(twin, Exception)
    assert first.new and not twin.new and first.id == twin.id
    assert first.result(PATIENCE) == 3


def test_a_job_whose_task_is_gone_waits_visibly_and_runs_when_it_is_there_again(make: Start) -> None:
    first = make(home=True)
    job = first.queue("q").task(name="t.gone")(_answer).enqueue()
    first.stop()

    without = make(home=True)
    without.start()
    until(lambda: view_of(without.job(job.id)).state == "scheduled")
    view = view_of(without.job(job.id))
    why = without.why_waiting(view)
    assert view.reason == "no such task: t.gone" and view.failure is None
    assert why is not None and why.reason == "no-such-task"
    without.stop()

    again = make(home=True)
    again.queue("q").task(name="t.gone")(_answer)
    again.start()
    assert again.job(job.id).result(PATIENCE) == 42
    assert view_of(again.job(job.id)).attempt == 1, "waiting for a task is no attempt"


@pytest.mark.parametrize(
    ("payload", "told"),
    [(b"\x80\x04garbage", "no envelope"), (b'{"v":99,"args":{}}', "payload has version 99"), (b"", "no envelope"),
     (b'{"v":1,"args":{"text":5}}', "text"), (b'{"v":1,"args":{"other":"x"}}', "text"), (b"\x01damaged", "damaged")],
    ids=["garbage", "other version", "empty", "wrong type", "wrong name", "cut"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["t.length", "works.huge"])
def test_a_payload_that_cannot_be_read_is_a_dead_letter_and_others_go_on(
    engine: Engine, name: str, payload: bytes, told: str
) -> None:
    task = engine.queue("q").task(name="t.length")(_length)
    engine.add(works.huge)
    bad = new_id()
    engine.store.put([ev.JobEnqueued(engine.clock.now(), bad, "q", name, payload, max_attempts=1)])
    good = task.enqueue(text="fine")
    if "text" not in told:
        with pytest.raises(JobFailed, match=told):
            engine.job(bad).result(PATIENCE)
    failed = ended(engine.job(bad))
    assert failed.state == "dead" and failed.failure is not None and failed.failure.message
    assert good.result(PATIENCE) == 4


def test_a_context_knows_its_job(engine: Engine) -> None:
    @engine.queue("q").task(name="t.facts", max_attempts=7)
    def facts(ctx: Context) -> list[Any]:
        return [
            ctx.job_id,
            ctx.task,
            ctx.queue,
            ctx.tenant,
            ctx.attempt,
            ctx.max_attempts,
            ctx.metadata,
            ctx.correlation_id,
        ]

    job = facts.enqueue(tenant="acme", metadata={"a": [1]}, correlation_id="c-1")
    assert job.result(PATIENCE) == [job.id, "t.facts", "q", "acme", 1, 7, {"a": [1]}, "c-1"]
