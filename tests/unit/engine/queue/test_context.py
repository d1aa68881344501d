from __future__ import annotations

import logging
from typing import Any

import pytest

from engine.kernel.errors import Cancel, ValidationError
from engine.kernel.job import Job, JobState
from engine.queue.codec import Envelope
from engine.queue.context import Context


class Heard:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.words: list[tuple[Any, ...]] = []
        self.wish = False

    def progress(self, value: float, message: str) -> None:
        self.words.append(("progress", value, message))

    def line(self, level: int, text: str) -> None:
        self.words.append((level, text))

    def output(self, name: str, value: bytes) -> None:
        self.words.append((name, value))

    def cancelled(self) -> bool:
        return self.wish


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def ctx(heard: Heard) -> Context:
    job = Job("id", "q", "a.b", b"", 5, "acme", 1.0, 0.0, 0.0, 4, 30.0, "", JobState.RUNNING, 2)
    return Context(job, Envelope(1, {}, {"by": "me"}, "corr"), heard, 99.0)


def test_a_context_knows_its_job(ctx: Context) -> None:
    assert (ctx.job_id, ctx.task, ctx.queue, ctx.tenant) == ("id", "a.b", "q", "acme")
    assert (ctx.attempt, ctx.max_attempts, ctx.deadline) == (2, 4, 99.0)
    assert (ctx.metadata, ctx.correlation_id) == ({"by": "me"}, "corr")


def test_progress_is_kept_between_0_and_1(ctx: Context, heard: Heard) -> None:
    for value in (0.5, -3, 7, True):
        ctx.progress(value, "m")
    assert [word[1] for word in heard.words] == [0.5, 0.0, 1.0, 1.0]


@pytest.mark.parametrize("value", ["half", None, float("nan")])
def test_progress_that_is_no_number_is_refused(ctx: Context, value: Any) -> None:
    with pytest.raises(ValidationError, match="progress: expected a number"):
        ctx.progress(value)


def test_log_lines_are_filled_in_as_logging_does_and_never_fail(ctx: Context, heard: Heard) -> None:
    ctx.log.debug("plain %")
    ctx.log.info("%s and %d", "a", 2)
    ctx.log.warning("%d", "no number")
    ctx.log.error(ValueError("x"))
    assert heard.words == [
        (logging.DEBUG, "plain %"),
        (logging.INFO, "a and 2"),
        (logging.WARNING, "%d ('no number',)"),
        (logging.ERROR, "x"),
    ]


def test_outputs_are_json(ctx: Context, heard: Heard) -> None:
    ctx.output("rows", [1, {"a": None}])
    assert heard.words == [("rows", b'[1,{"a":null}]')]
    with pytest.raises(ValidationError, match=r"output\.bad"):
        ctx.output("bad", object())


def test_a_wish_to_stop_is_seen(ctx: Context, heard: Heard) -> None:
    ctx.check_cancelled()
    assert not ctx.cancelled
    heard.wish = True
    assert ctx.cancelled
    with pytest.raises(Cancel):
        ctx.check_cancelled()
