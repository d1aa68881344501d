"""What people may wish of jobs and queues: try again, delete, look, pause."""

from __future__ import annotations

import threading

import pytest

from engine import Engine, Retry
from engine.kernel.errors import Conflict, JobFailed, ValidationError
from engine.queue.book import QueueInfo
from tests.integration.engine.conftest import Start
from tests.integration.engine.test_outcomes import PATIENCE, ended, view_of
from tests.support.waiting import until


def test_a_dead_job_that_is_sent_back_has_all_its_attempts_again(engine: Engine) -> None:
    broken = threading.Event()
    ran: list[int] = []

    @engine.queue("q").task(name="t.work", max_attempts=2, backoff=Retry(initial=60, jitter=False))
    def work() -> str:
        ran.append(1)
        if not broken.is_set():
            raise ConnectionError("the printer is off")
        return "printed"

    job = work.enqueue()
    until(lambda: job.state == "retryable")
    assert job.retry(), "it need not wait for its backoff"
    with pytest.raises(JobFailed, match="after 2 attempts: ConnectionError: the printer is off"):
        job.result(PATIENCE)
    broken.set()
    assert job.retry(by="ann")
    assert job.result(PATIENCE) == "printed"
    assert len(ran) == 3 and not job.retry(), "what completed is not done again"


def test_a_scheduled_job_may_be_started_now(engine: Engine) -> None:
    @engine.queue("q").task(name="t.work")
    def work() -> str:
        return "early"

    job = work.enqueue(delay=3600)
    assert job.retry() and job.result(PATIENCE) == "early"


def test_a_running_job_is_not_deleted_and_others_are(engine: Engine) -> None:
    go = threading.Event()

    @engine.queue("q").task(name="t.work")
    def work(hold: bool) -> None:
        assert not hold or go.wait(PATIENCE)

    running, waiting = work.enqueue(True), work.enqueue(False, delay=3600)
    until(lambda: running.state == "running")
    with pytest.raises(Conflict, match="is running; cancel it first"):
        engine.delete([running.id])
    assert engine.delete([waiting.id, running.id, "unknown"]) >= {waiting.id}
    assert waiting.view() is None and running.state == "running"
    go.set()
    running.result(PATIENCE)


def test_queues_tell_what_is_set_and_what_is_in_them(engine: Engine) -> None:
    @engine.queue("mail", concurrency=2, rate_limit="100/s", priority=3).task(name="t.mail")
    def mail() -> None:
        return None

    engine.pause("mail", by="ann")
    mail.enqueue()
    mail.enqueue(delay=60)
    info = next(info for info in engine.queues() if info.name == "mail")
    assert (info.paused, info.concurrency, info.rate_limit, info.priority) == (True, 2, "100/s", 3)
    assert (info.counts["available"], info.counts["scheduled"]) == (1, 1)
    with pytest.raises(ValidationError, match="concurrency"):
        engine.queue("mail", concurrency=0)
    assert isinstance(info, QueueInfo) and info.concurrency == 2


def test_a_queue_is_set_faster_while_it_works(make: Start) -> None:
    engine = make(workers=4)
    go = threading.Event()

    @engine.queue("q", concurrency=1).task(name="t.work")
    def work() -> None:
        assert go.wait(PATIENCE)

    engine.start()
    jobs = [work.enqueue() for _ in range(3)]
    until(lambda: engine.load().busy == 1)
    why = engine.why_waiting(view_of(next(job for job in jobs if job.state == "available")))
    assert why is not None and why.reason == "concurrency"
    engine.queue("q", concurrency=3)
    until(lambda: engine.load().busy == 3)
    go.set()
    assert {ended(job).state for job in jobs} == {"completed"}
