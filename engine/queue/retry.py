"""From the outcome of an attempt to what becomes of the job.  Pure: no clock, no store, no random source of its own.

Invariants: attempts are numbered from 1 and never more than ``max_attempts`` are begun because of failures; a wait is
between 0 and the cap (full jitter: uniform over [0, min(cap, initial · multiplier^(attempt-1))], after the AWS
Architecture Blog, "Exponential backoff and jitter"); a snooze uses up no attempt.  An outcome holds names of exception
classes instead of the classes, so that a child process can tell its own.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

import msgspec

from engine.kernel.errors import AttemptTimeout, Cancel, DeclarationError, Discard, RetryAfter, Snooze
from engine.kernel.job import JobState

#: seconds that the other side may ask us to wait
RETRY_AFTER_CAP = 24 * 3600.0
#: seconds that a task may snooze
SNOOZE_CAP = 365 * 24 * 3600.0

Rule = type[BaseException] | str


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """How an attempt ended, as plain values."""

    #: returned, failed, timeout, snooze, cancel, discard or retry_after
    kind: str
    #: names of the exception's classes, the nearest first
    names: tuple[str, ...] = ()
    #: what a snooze or a retry_after asks for
    seconds: float = 0.0
    reason: str = ""

    @staticmethod
    def of(error: BaseException | None) -> Outcome:
        """The outcome of an attempt that returned (``None``) or raised ``error``."""
        if error is None:
            return RETURNED
        kind = next((kind for signal, kind in _SIGNALS.items() if isinstance(error, signal)), "failed")
        seconds = error.seconds if isinstance(error, (Snooze, RetryAfter)) else 0.0
        return Outcome(kind, names_of(type(error)), seconds, _text(error))


RETURNED = Outcome("returned")
_SIGNALS: dict[type[BaseException], str] = {
    Snooze: "snooze",
    Cancel: "cancel",
    Discard: "discard",
    RetryAfter: "retry_after",
    AttemptTimeout: "timeout",
}


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What becomes of the job: ``completed``, ``retryable`` or ``scheduled`` at ``run_at``, ``cancelled`` or ``dead``."""

    state: JobState
    run_at: float = 0.0
    reason: str = ""


COMPLETE = Decision(JobState.COMPLETED)


class Retry(msgspec.Struct, frozen=True):
    """When a failed attempt is tried again.  Seconds.  Raises ``DeclarationError`` on values that make no sense."""

    initial: float = 1.0
    maximum: float = 300.0
    multiplier: float = 2.0
    #: wait a random part of the backoff, so that jobs that failed together don't come back together
    jitter: bool = True
    #: if given, only these exceptions are retried: classes, ``"module.Name"`` or ``"Name"``
    on: tuple[Any, ...] = ()
    #: these exceptions are never retried
    never: tuple[Any, ...] = ()
    #: exception → another ``Retry``, or the most attempts for it, or ``None`` for never; the nearest class wins
    rules: Mapping[Any, Retry | int | None] = {}

    def __post_init__(self) -> None:
        for field in ("initial", "maximum", "multiplier"):
            _check_number(field, getattr(self, field), 1.0 if field == "multiplier" else 0.0)
        if self.initial > self.maximum:
            raise DeclarationError(f"Retry: initial ({self.initial:g} s) is above maximum ({self.maximum:g} s)")
        msgspec.structs.force_setattr(self, "on", tuple(map(_name, _listed("on", self.on))))
        msgspec.structs.force_setattr(self, "never", tuple(map(_name, _listed("never", self.never))))
        rules = {_name(key): _rule(rule) for key, rule in self.rules.items()}
        msgspec.structs.force_setattr(self, "rules", rules)

    def ceiling(self, attempt: int) -> float:
        """The longest wait after failed attempt number ``attempt``."""
        try:
            return min(self.maximum, self.initial * self.multiplier ** (attempt - 1))
        except OverflowError:
            return self.maximum if self.initial else 0.0

    def wait(self, attempt: int, rng: random.Random) -> float:
        """Seconds to wait after failed attempt number ``attempt``."""
        ceiling = self.ceiling(attempt)
        return rng.uniform(0.0, ceiling) if self.jitter else ceiling


def decide(outcome: Outcome, retry: Retry, attempt: int, max_attempts: int, now: float, rng: random.Random) -> Decision:
    """What becomes of a job after attempt number ``attempt`` of ``max_attempts`` ended with ``outcome`` at ``now``."""
    match outcome.kind:
        case "returned":
            return COMPLETE
        case "snooze":
            return Decision(JobState.SCHEDULED, now + _bounded(outcome.seconds, SNOOZE_CAP), outcome.reason)
        case "cancel":
            return Decision(JobState.CANCELLED, reason=outcome.reason)
        case "discard":
            return Decision(JobState.DEAD, reason=f"discarded: {outcome.reason}" if outcome.reason else "discarded")
    policy, most, refusal = _policy(outcome, retry, max_attempts)
    if refusal:
        return Decision(JobState.DEAD, reason=refusal)
    if attempt >= most:
        return Decision(JobState.DEAD, reason=f"attempt {attempt} of {most} failed")
    wait = policy.wait(attempt, rng)
    if outcome.kind == "retry_after":
        wait = _bounded(outcome.seconds, RETRY_AFTER_CAP)
    return Decision(JobState.RETRYABLE, now + wait, outcome.reason)


def _policy(outcome: Outcome, retry: Retry, max_attempts: int) -> tuple[Retry, int, str]:
    """The backoff and the number of attempts for this failure, or why it is not retried."""
    name = outcome.names[0] if outcome.names else "failure"
    for candidate in outcome.names:
        if candidate in retry.rules:
            rule = retry.rules[candidate]
            if rule is None:
                return retry, 0, f"{name} is never retried"
            if isinstance(rule, int):
                return retry, min(rule, max_attempts), ""
            return rule, max_attempts, ""
    if any(candidate in retry.never for candidate in outcome.names):
        return retry, 0, f"{name} is never retried"
    if retry.on and outcome.kind == "failed" and not any(candidate in retry.on for candidate in outcome.names):
        return retry, 0, f"{name} is not among the errors that are retried"
    return retry, max_attempts, ""


def names_of(kind: type[BaseException]) -> tuple[str, ...]:
    """Both names of a class and of its bases, ``module.Name`` and ``Name``, the nearest first."""
    names: list[str] = []
    for base in kind.__mro__[:-1]:
        full = _name(base)
        names.append(full)
        if base.__name__ != full:
            names.append(base.__name__)
    return tuple(names)


def _name(rule: Rule) -> str:
    if isinstance(rule, str) and rule:
        return rule.removeprefix("builtins.")
    if isinstance(rule, type) and issubclass(rule, BaseException):
        return rule.__qualname__ if rule.__module__ == "builtins" else f"{rule.__module__}.{rule.__qualname__}"
    raise DeclarationError(f"Retry: expected an exception class or its name, got {rule!r:.60}")


def _listed(field: str, rules: Any) -> tuple[Any, ...]:
    if isinstance(rules, (tuple, list, set, frozenset)):
        return tuple(rules)
    if isinstance(rules, (str, type)):
        return (rules,)
    raise DeclarationError(f"Retry: {field}: expected a tuple of exceptions, got {type(rules).__name__}")


def _rule(rule: Any) -> Retry | int | None:
    if rule is None or isinstance(rule, Retry):
        return rule
    if isinstance(rule, int) and not isinstance(rule, bool) and rule >= 1:
        return rule
    raise DeclarationError(f"Retry: rules: expected a Retry, a number of attempts or None, got {rule!r:.60}")


def _check_number(field: str, value: object, least: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < least:
        raise DeclarationError(f"Retry: {field}: expected a number from {least:g}, got {value!r:.40}")


def _bounded(seconds: float, cap: float) -> float:
    return min(cap, max(0.0, float(seconds))) if isinstance(seconds, (int, float)) and seconds == seconds else 0.0


def _text(error: BaseException) -> str:
    try:
        return str(error)[:300]
    except Exception as broken:
        return f"<text unreadable: {type(broken).__name__}>"
