from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.kernel.errors import AttemptTimeout, Cancel, DeclarationError, Discard, RetryAfter, Snooze
from engine.kernel.job import TRANSITIONS, JobState
from engine.queue.retry import RETRY_AFTER_CAP, Decision, Outcome, Retry, decide, names_of

NOW = 1_700_000_000.0
policies = st.builds(
    lambda initial, extra, multiplier, jitter: Retry(initial, initial + extra, multiplier, jitter),
    st.floats(0, 100),
    st.floats(0, 10_000),
    st.floats(1, 10),
    st.booleans(),
)
attempts = st.integers(1, 5_000)


def after(error: BaseException | None, retry: Retry | None = None, attempt: int = 1, most: int = 3) -> Decision:
    return decide(Outcome.of(error), retry or Retry(), attempt, most, NOW, random.Random(1))


@given(policies, attempts, st.randoms(use_true_random=False))
def test_a_wait_is_between_nothing_and_the_cap(retry: Retry, attempt: int, rng: random.Random) -> None:
    assert 0 <= retry.wait(attempt, rng) <= retry.ceiling(attempt) <= retry.maximum


@given(policies, attempts)
def test_the_cap_of_a_wait_never_falls(retry: Retry, attempt: int) -> None:
    assert retry.ceiling(attempt) <= retry.ceiling(attempt + 1)


@given(
    policies, st.integers(1, 50), st.integers(), st.sampled_from([ValueError("x"), AttemptTimeout("x"), RetryAfter(1)])
)
def test_no_more_attempts_than_allowed_are_made(retry: Retry, most: int, seed: int, error: Exception) -> None:
    rng, attempt = random.Random(seed), 1
    while decide(Outcome.of(error), retry, attempt, most, NOW, rng).state == JobState.RETRYABLE:
        attempt += 1
    assert attempt == most


@given(policies, attempts, st.integers())
def test_the_same_random_source_gives_the_same_decision(retry: Retry, attempt: int, seed: int) -> None:
    outcome = Outcome.of(ValueError("x"))
    one, other = (decide(outcome, retry, attempt, attempt + 1, NOW, random.Random(seed)) for _ in range(2))
    assert one == other


@given(
    st.one_of(
        st.none(),
        st.sampled_from([ValueError("x"), Cancel("c"), Discard("d"), AttemptTimeout("t"), KeyboardInterrupt()]),
        st.floats().map(Snooze),
        st.floats().map(RetryAfter),
    ),
    attempts,
    attempts,
)
def test_every_decision_is_a_move_that_a_running_job_may_make(error: Any, attempt: int, most: int) -> None:
    decision = decide(Outcome.of(error), Retry(), attempt, most, NOW, random.Random(0))
    assert decision.state in TRANSITIONS[JobState.RUNNING]
    waits = decision.state in (JobState.RETRYABLE, JobState.SCHEDULED)
    assert (NOW <= decision.run_at < NOW + 366 * 86_400) if waits else decision.run_at == 0


@given(st.builds(Outcome.of, st.sampled_from([None, ValueError("x"), Snooze(3), RetryAfter(2), Discard("no")])))
def test_an_outcome_survives_a_pipe(outcome: Outcome) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(outcome), type=Outcome) == outcome


def test_backoff_grows_to_its_cap() -> None:
    retry = Retry(initial=1, maximum=30, multiplier=2, jitter=False)
    assert [retry.wait(n, random.Random()) for n in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]


def test_full_jitter_spreads_over_the_whole_wait() -> None:
    retry, rng = Retry(initial=8, maximum=8), random.Random(1)
    waits = [retry.wait(1, rng) for _ in range(2_000)]
    assert min(waits) < 0.5 and max(waits) > 7.5
    assert 3.7 < sum(waits) / len(waits) < 4.3


def test_a_job_that_returned_is_completed() -> None:
    assert after(None).state == JobState.COMPLETED


def test_a_failure_is_retried_until_attempts_are_exhausted() -> None:
    assert after(ValueError("x"), attempt=2).state == JobState.RETRYABLE
    last = after(ValueError("x"), attempt=3)
    assert (last.state, last.reason) == (JobState.DEAD, "attempt 3 of 3 failed")


def test_a_timeout_is_retried_even_if_only_some_errors_are() -> None:
    assert after(AttemptTimeout("slow"), Retry(on=(ConnectionError,))).state == JobState.RETRYABLE


def test_a_snooze_waits_as_asked_and_ignores_how_many_attempts_there_were() -> None:
    decision = after(Snooze(60, "not ready"), attempt=3)
    assert decision == Decision(JobState.SCHEDULED, NOW + 60, "not ready")


def test_cancel_and_discard_end_the_job() -> None:
    assert after(Cancel("enough")) == Decision(JobState.CANCELLED, reason="enough")
    assert after(Discard("no such user")) == Decision(JobState.DEAD, reason="discarded: no such user")


@pytest.mark.parametrize(
    ("asked", "waited"),
    [(120, 120), (0, 0), (-5, 0), (1e9, RETRY_AFTER_CAP), (float("nan"), 0), (float("inf"), RETRY_AFTER_CAP)],
)
def test_the_other_sides_wish_is_honoured_up_to_a_day(asked: float, waited: float) -> None:
    assert after(RetryAfter(asked), Retry(maximum=30)).run_at == NOW + waited


def test_the_other_sides_wish_uses_up_an_attempt() -> None:
    assert after(RetryAfter(1), attempt=3).state == JobState.DEAD


class Refused(ConnectionRefusedError):
    pass


@pytest.mark.parametrize(
    "rule", [ConnectionError, "ConnectionError", "builtins.ConnectionError", Refused, f"{__name__}.Refused"]
)
def test_only_named_errors_are_retried_with_their_subclasses(rule: Any) -> None:
    retry = Retry(on=(rule,))
    assert after(Refused(), retry).state == JobState.RETRYABLE
    refusal = after(KeyError("x"), retry)
    assert (refusal.state, refusal.reason) == (JobState.DEAD, "KeyError is not among the errors that are retried")


def test_some_errors_are_never_retried() -> None:
    assert after(KeyError("x"), Retry(never=(LookupError,))).reason == "KeyError is never retried"
    assert after(ValueError("x"), Retry(never=(LookupError,))).state == JobState.RETRYABLE


def test_the_rule_of_the_nearest_class_wins() -> None:
    slow = Retry(initial=100, maximum=100, jitter=False)
    retry = Retry(jitter=False, rules={OSError: None, ConnectionError: slow, Refused: 2})
    assert after(FileNotFoundError(), retry).state == JobState.DEAD
    assert after(ConnectionResetError(), retry).run_at == NOW + 100
    assert after(Refused(), retry, attempt=1, most=9).state == JobState.RETRYABLE
    assert after(Refused(), retry, attempt=2, most=9).reason == "attempt 2 of 2 failed"


def test_a_rule_never_raises_the_number_of_attempts() -> None:
    assert after(ValueError("x"), Retry(rules={ValueError: 10}), attempt=3, most=3).state == JobState.DEAD


def test_names_of_a_class_begin_with_its_own_and_hold_its_bases() -> None:
    assert names_of(Refused)[:3] == (f"{__name__}.Refused", "Refused", "ConnectionRefusedError")
    assert names_of(json.JSONDecodeError)[0] == "json.decoder.JSONDecodeError"


def test_an_exception_that_cannot_be_printed_still_gives_an_outcome() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert Outcome.of(Broken()).reason == "<text unreadable: RuntimeError>"


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"initial": -1}, "initial: expected a number from 0, got -1"),
        ({"initial": "1"}, "initial: expected a number"),
        ({"maximum": float("inf")}, "maximum: expected a number"),
        ({"multiplier": 0.5}, "multiplier: expected a number from 1"),
        ({"initial": 10, "maximum": 5}, "initial (10 s) is above maximum (5 s)"),
        ({"on": (5,)}, "expected an exception class or its name, got 5"),
        ({"never": 5}, "never: expected a tuple of exceptions, got int"),
        ({"rules": {ValueError: 0}}, "rules: expected a Retry, a number of attempts or None, got 0"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        Retry(**wrong)
    assert text in str(refused.value)
