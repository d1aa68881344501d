"""``engine.client(url, token=…)``: the engine's words over HTTP, with the engine's errors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import engine
from engine import JobRequest
from engine.kernel.errors import (
    Conflict,
    JobCancelled,
    JobFailed,
    NotFound,
    ResultTimeout,
    UnknownTask,
    ValidationError,
)
from engine.remote import Client, Refused, Unreachable
from tests.console.api import works
from tests.support.consoles import ADMIN, Running


@pytest.fixture
def client(console: Running) -> Iterator[Client]:
    with engine.client(console.url, token=ADMIN) as made:
        yield made


def test_a_job_is_enqueued_and_its_result_waited_for(client: Client) -> None:
    job = client.enqueue("echo", {"text": "far"}, priority="high", idempotency_key="client-1")
    assert job.new and job.result(timeout=60) == {"text": "far", "number": 0}
    again = client.enqueue("echo", {"text": "far"}, idempotency_key="client-1")
    assert again.id == job.id and not again.new


def test_errors_are_those_of_the_engine(client: Client) -> None:
    with pytest.raises(UnknownTask):
        client.enqueue("nobody")
    with pytest.raises(ValidationError) as wrong:
        client.enqueue("echo", {"number": "x"})
    assert wrong.value.field == "args.number"
    for call in (client.get, client.cancel, client.retry, client.delete):
        with pytest.raises(NotFound):
            call("../queues")
    with pytest.raises(JobFailed, match="broken"):
        client.enqueue("fail").result(timeout=60)
    done = client.enqueue("echo")
    done.result(timeout=60)
    with pytest.raises(Conflict):
        done.retry()


def test_many_are_submitted_at_once_and_each_is_answered(client: Client) -> None:
    answers = client.submit([JobRequest("echo"), JobRequest("nobody"), JobRequest("echo", {"number": 2})])
    assert isinstance(answers[1], UnknownTask)
    assert not isinstance(answers[2], Exception) and answers[2].result(timeout=60)["number"] == 2


def test_a_wait_that_is_too_long_and_a_cancelled_job_say_so(client: Client) -> None:
    job = client.enqueue("hold")
    with pytest.raises(ResultTimeout):
        job.result(timeout=0.2)
    job.cancel()
    with pytest.raises(JobCancelled):
        job.result(timeout=60)


def test_lists_queues_and_actions(console: Running, client: Client) -> None:
    for _ in range(3):
        client.enqueue("echo", queue="client-list").result(timeout=60)
    console.recorded()
    assert len(list(client.all_jobs("queue:client-list", limit=2))) == 3
    assert client.pause("client-list")["paused"] and not client.resume("client-list")["paused"]
    assert "client-list" in [queue["name"] for queue in client.queues()]
    assert client.act("delete", "queue:client-list")["done"] == 3


def test_a_wrong_token_and_an_empty_address_are_told_apart(console: Running) -> None:
    with engine.client(console.url, token="wrong") as stranger, pytest.raises(Refused) as refused:
        stranger.queues()
    assert refused.value.status == 401
    with engine.client("http://127.0.0.1:1") as nobody, pytest.raises(Unreachable):
        nobody.queues()


def test_the_result_is_waited_for_while_the_job_runs(client: Client) -> None:
    job = client.enqueue("hold")
    lines = client.events(job.id, timeout=60)
    assert next(lines) == "event: job"
    works.gate.set()
    assert list(lines)[-2:] == ['data: {"state":"completed"}', ""]
    assert job.result(timeout=60) == "let go"
