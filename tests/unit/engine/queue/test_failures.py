from __future__ import annotations

import traceback
from types import SimpleNamespace
from typing import Any

import pytest
from huey.api import MemoryHuey
from hypothesis import given
from hypothesis import strategies as st

from engine.kernel.job import Failure
from engine.queue.arguments import ArgumentValidator
from engine.queue.codec import encode_value
from engine.queue.failures import MESSAGE_LIMIT, TRACEBACK_LIMIT, failure_of, fingerprint, general


def failing(message: str = "no good", *, deep: int = 0) -> None:
    if deep:
        failing(message, deep=deep - 1)
    raise ValueError(message)


def caught(call: Any, *args: Any, **kwargs: Any) -> Failure:
    try:
        call(*args, **kwargs)
    except BaseException as error:
        return failure_of(error)
    raise AssertionError("did not fail")


def test_a_failure_holds_type_message_and_traceback() -> None:
    failure = caught(failing)
    assert (failure.type, failure.message) == ("ValueError", "no good")
    assert failure.traceback.endswith("ValueError: no good")
    assert "in failing" in failure.traceback
    assert len(failure.fingerprint) == 16


def test_the_traceback_begins_at_the_tasks_own_frames() -> None:
    huey = MemoryHuey()
    huey.task()(failing)
    seen: list[Failure] = []
    huey.signal("error")(lambda signal, task, exc=None: seen.append(failure_of(exc)))
    task = huey.task(name="again")(failing)
    task("through huey")
    huey.execute(huey.dequeue())
    assert seen[0].traceback.splitlines()[1].startswith(f'  File "{__file__}"')
    assert "huey/api.py" not in seen[0].traceback


def test_our_frames_inside_the_task_are_left_out_too() -> None:
    failure = caught(encode_value, object())
    assert "engine/queue" in failure.traceback or "test_failures" in failure.traceback
    assert 'File "' + __file__ in failure.traceback
    assert "codec.py" not in failure.traceback


def test_a_failure_of_our_own_code_keeps_its_frames() -> None:
    try:
        ArgumentValidator(failing).check({"message": 5})
    except Exception as error:
        assert error.__traceback__ is not None
        inner = error.with_traceback(error.__traceback__.tb_next)
        assert "arguments.py" in failure_of(inner).traceback


def test_causes_are_told() -> None:
    def chained() -> None:
        try:
            failing("first")
        except ValueError as error:
            raise KeyError("second") from error

    failure = caught(chained)
    assert "ValueError: first" in failure.traceback and "direct cause" in failure.traceback
    assert failure.type == "KeyError"


def test_long_messages_and_tracebacks_are_cut_in_the_middle() -> None:
    failure = caught(failing, "begin" + "x" * 50_000 + "end")
    assert len(failure.message) <= MESSAGE_LIMIT and len(failure.traceback) <= TRACEBACK_LIMIT
    assert failure.message.startswith("begin") and failure.message.endswith("end")
    assert "characters cut" in failure.message


def test_an_endless_recursion_gives_a_short_failure() -> None:
    def endless() -> None:
        endless()

    failure = caught(endless)
    assert failure.type == "RecursionError" and len(failure.traceback) < 3_000


@given(st.text())
def test_texts_are_what_every_store_can_hold(message: str) -> None:
    failure = caught(failing, message)
    for text in (failure.message, failure.traceback):
        assert text.encode().decode() == text and "\0" not in text


def test_lone_surrogates_are_replaced() -> None:
    assert caught(failing, "\ud800\0").message == "?\N{REPLACEMENT CHARACTER}"


def test_an_exception_that_cannot_be_printed_is_still_a_failure() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def fail() -> None:
        raise Broken

    failure = caught(fail)
    assert (failure.type, failure.message) == ("Broken", "<message unreadable: RuntimeError>")
    assert failure.fingerprint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("user 17 is gone", "user 40312 is gone"),
        ("job 0190b3ee-1111-7abc-8def-0123456789ab failed", "job 0190b3ee-2222-7abc-8def-ba9876543210 failed"),
        ("no key 'alice'", "no key 'bob smith'"),
        ('no key "alice"', 'no key "bob\\"s"'),
        ("object at 0x7f97f4156d10", "object at 0x7f0000000000"),
        ("commit deadbeef12 missing", "commit 00ff00aa11 missing"),
        ("no file /home/ann/in.pdf", "no file /srv/data/x/other.pdf"),
        ("took 1.5 s, limit 3,000", "took 22.75 s, limit 1,000"),
        ("first line 1\nsecond a", "first line 2\nsecond b"),
    ],
)
def test_messages_that_differ_in_values_only_have_one_fingerprint(one: str, other: str) -> None:
    assert general(one) == general(other)
    assert caught(failing, one).fingerprint == caught(failing, other).fingerprint


def test_other_causes_have_other_fingerprints() -> None:
    def elsewhere() -> None:
        raise ValueError("no good")

    prints = {
        caught(failing).fingerprint,
        caught(failing, "something else").fingerprint,
        caught(elsewhere).fingerprint,
        caught(lambda: int("x")).fingerprint,
    }
    assert len(prints) == 4


def test_words_between_apostrophes_do_not_swallow_the_message() -> None:
    assert general("can't open it, don't ask") == "can't open it, don't ask"


def test_a_fingerprint_is_the_same_wherever_the_project_lies() -> None:
    def frames(folder: str, line: int) -> list[traceback.FrameSummary]:
        return [traceback.FrameSummary(f"{folder}/shop/mail.py", line, "send", lookup_line=False)]

    assert fingerprint("OSError", "x", frames("/home/ann", 5)) == fingerprint("OSError", "x", frames("/srv", 77))
    assert fingerprint("OSError", "x", frames("/srv", 5)) == "304d38398ac4d1b4"


def test_failures_without_frames_are_told_apart_by_task() -> None:
    error = SimpleNamespace(slow=TimeoutError("ran longer than 3 s")).slow
    assert failure_of(error, "a.send").fingerprint != failure_of(error, "b.send").fingerprint
    assert failure_of(error, "a.send") == failure_of(error, "a.send")
