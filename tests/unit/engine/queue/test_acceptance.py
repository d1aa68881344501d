from __future__ import annotations

import datetime
from typing import Any

import pytest

from engine.kernel.clock import FakeClock, iso
from engine.kernel.errors import UnknownTask, ValidationError
from engine.kernel.events import JobEnqueued
from engine.queue import codec
from engine.queue.acceptance import Acceptance
from engine.queue.policy import QueuePolicy
from engine.queue.registry import Registry
from engine.queue.request import JobRequest
from engine.queue.task import declare

YEAR = 365.25 * 86_400


def send(to: str, times: int = 1) -> None:
    """Sends."""


def plain() -> None:
    """Does nothing."""


class Room:
    def __init__(self) -> None:
        registry = Registry()
        registry.register(
            declare(send, name="t.send", queue="emails", max_attempts=4, timeout=9, priority="high", unique=["to"])
        )
        registry.register(declare(plain, name="t.plain"))
        self.clock = FakeClock()
        policies = {"quick": QueuePolicy("quick", job_priority=2)}
        self.acceptance = Acceptance(registry, policies, self.clock, 1_000)

    def accept(self, task: str = "t.send", args: Any = None, **options: Any) -> JobEnqueued:
        return self.acceptance.accept(JobRequest(task, {"to": "ann"} if args is None else args, **options))


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("args", {"args": [1]}),
        ("args.to", {"args": {}}),
        ("args.to", {"args": {"to": 5}}),
        ("args.times", {"args": {"to": "a", "times": "often"}}),
        ("args.cc", {"args": {"to": "a", "cc": "b"}}),
        ("args", {"args": {"to": "x" * 2_000}}),
        ("queue", {"queue": "two words"}),
        ("queue", {"queue": ""}),
        ("queue", {"queue": "a\n"}),
        ("queue", {"queue": 5}),
        ("tenant", {"tenant": "../x"}),
        ("priority", {"priority": 0}),
        ("priority", {"priority": 11}),
        ("priority", {"priority": "urgent"}),
        ("priority", {"priority": True}),
        ("delay", {"delay": -1}),
        ("delay", {"delay": float("nan")}),
        ("delay", {"delay": float("inf")}),
        ("delay", {"delay": "5"}),
        ("delay", {"delay": 1e300}),
        ("run_at", {"run_at": "tomorrow"}),
        ("run_at", {"run_at": "2030-01-01T00:00:00"}),
        ("run_at", {"run_at": 1e18}),
        ("run_at", {"run_at": 5.0, "delay": 5}),
        ("expires", {"expires": 0}),
        ("expires", {"expires": -3}),
        ("expires", {"expires": 1e300}),
        ("timeout", {"timeout": -1}),
        ("timeout", {"timeout": 1e300}),
        ("timeout", {"timeout": False}),
        ("max_attempts", {"max_attempts": 0}),
        ("max_attempts", {"max_attempts": 1.5}),
        ("max_attempts", {"max_attempts": True}),
        ("max_attempts", {"max_attempts": 10**9}),
        ("idempotency_key", {"idempotency_key": ""}),
        ("idempotency_key", {"idempotency_key": "x" * 201}),
        ("idempotency_key", {"idempotency_key": "a\x00b"}),
        ("idempotency_key", {"idempotency_key": 5}),
        ("unique_key", {"unique_key": "line\nbreak"}),
        ("correlation_id", {"correlation_id": ["x"]}),
        ("metadata", {"metadata": [1]}),
        ("metadata.when", {"metadata": {"when": object()}}),
        ("metadata.x", {"metadata": {"x": float("inf")}}),
    ],
)
def test_what_is_wrong_is_named(room: Room, field: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        room.accept(**options)
    assert refused.value.field == field
    assert field.split(".")[-1] in str(refused.value) and len(str(refused.value)) < 400


def test_an_unknown_task_is_told_with_the_likely_one(room: Room) -> None:
    with pytest.raises(UnknownTask, match=r"did you mean 't\.send'"):
        room.accept("t.sned")
    with pytest.raises(UnknownTask, match="--tasks"):
        room.accept("entirely.other")


def test_what_the_request_leaves_open_is_the_tasks_matter(room: Room) -> None:
    job = room.accept()
    assert (job.queue, job.priority, job.max_attempts, job.timeout, job.run_at, job.expires_at) == (
        "emails",
        3,
        4,
        9,
        0,
        0,
    )
    assert job.unique.startswith("/t.send:") and codec.decode(job.payload).args == {"to": "ann"}
    plain_one = room.accept("t.plain", {}, queue="quick")
    assert (plain_one.priority, plain_one.max_attempts, plain_one.unique) == (2, 1, "")


def test_what_the_request_says_counts(room: Room) -> None:
    job = room.accept(
        queue="other", priority=9, max_attempts=1, timeout=0, delay=datetime.timedelta(minutes=1), expires=90,
        idempotency_key="k", unique_key="u", tenant="acme", correlation_id="c", metadata={"a": 1},
    )  # fmt: skip
    now = room.clock.now()
    assert (job.queue, job.priority, job.max_attempts, job.timeout) == ("other", 9, 1, 0)
    assert (job.run_at, job.expires_at) == (now + 60, now + 90)
    assert (job.idempotency_key, job.unique, job.tenant) == ("acme/k", "acme/u", "acme")
    envelope = codec.decode(job.payload)
    assert (envelope.correlation_id, envelope.metadata) == ("c", {"a": 1})


def test_times_are_taken_in_every_good_form(room: Room) -> None:
    assert room.accept(delay=0).run_at == 0
    zoned = datetime.datetime(2030, 1, 31, 8, tzinfo=datetime.UTC)
    stamps = {
        room.accept(run_at=form).run_at for form in (zoned.timestamp(), zoned.isoformat(), "2030-01-31T09:00:00+01:00")
    }
    assert stamps == {zoned.timestamp()}


def test_the_farthest_time_that_is_taken_can_still_be_told(room: Room) -> None:
    for job in (room.accept(delay=99 * YEAR), room.accept(run_at="9999-12-31T23:59:59Z")):
        assert (iso(job.run_at) or "").endswith("Z")


def test_ids_sort_by_the_time_they_were_made(room: Room) -> None:
    ids = [room.accept().id for _ in range(500)]
    assert ids == sorted(ids) and len(set(ids)) == 500
