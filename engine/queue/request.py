"""A wish to run a task, before anyone has accepted it.

``JobRequest`` is what ``Task.job`` and the API make and the engine takes; nothing in it is checked against a task yet.
``OPTIONS`` are the names that ``task.enqueue(…)`` takes as options of the job rather than as arguments of the function.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from typing import Any

import msgspec

from engine.kernel.errors import ValidationError
from engine.kernel.job import check_name


class JobRequest(msgspec.Struct):
    """One request to run ``task``.  ``None`` leaves the matter to the task's declaration."""

    task: str
    #: by parameter name
    args: dict[str, Any] = {}
    queue: str | None = None
    #: critical, high, normal, low, or 1 (first) to 10 (last)
    priority: str | int | None = None
    tenant: str = ""
    #: seconds from now before which it must not start
    delay: float | None = None
    #: wall time before which it must not start: seconds since the epoch, or ISO 8601 with a zone
    run_at: float | str | None = None
    #: seconds that one attempt may run
    timeout: float | None = None
    max_attempts: int | None = None
    idempotency_key: str | None = None
    unique_key: str | None = None
    #: seconds from now (or, as ISO 8601, the wall time) after which it is not started any more
    expires: float | str | None = None
    correlation_id: str | None = None
    metadata: dict[str, Any] = {}
    #: names of what an agent must have to run it, besides what the task needs
    capabilities: Sequence[str] | None = None

    def due(self, now: float) -> float:
        """Wall time before which the job must not start, 0 for at once.  Raises ``ValidationError``."""
        if self.delay is not None and self.run_at is not None:
            raise ValidationError("run_at: give either delay or run_at, not both", "run_at")
        if self.delay is not None:
            seconds = seconds_of(self.delay, "delay")
            return now + seconds if seconds > 0 else 0.0
        return 0.0 if self.run_at is None else wall_time(self.run_at, "run_at")

    def expiry(self, now: float) -> float:
        """Wall time after which the job is not started any more, 0 for never.  Raises ``ValidationError``."""
        if self.expires is None:
            return 0.0
        if isinstance(self.expires, (str, datetime.datetime)):
            return wall_time(self.expires, "expires")
        seconds = seconds_of(self.expires, "expires")
        if seconds <= 0:
            raise ValidationError("expires: expected more than 0 seconds", "expires")
        return now + seconds


#: names of the options, everything but the task and its arguments
OPTIONS = frozenset(JobRequest.__struct_fields__) - {"task", "args"}


#: capabilities that one job may need
CAPABILITIES_MOST = 16


def capabilities_of(value: object, field: str = "capabilities") -> tuple[str, ...]:
    """Names of capabilities, given as one or several; none for ``None``.  Raises ``ValidationError``."""
    names = () if value is None else (value,) if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or len(names) > CAPABILITIES_MOST:
        raise ValidationError(
            f'{field}: expected at most {CAPABILITIES_MOST} names, as ["gpu", "ocr"], got {value!r:.60}', field
        )
    return tuple(check_name(name, field) for name in names)


def needs_of(*capabilities: tuple[str, ...]) -> str:
    """All of them as a job carries them: sorted, with commas between."""
    return ",".join(sorted({name for names in capabilities for name in names}))


#: longest span of time, and latest wall time, that a job may name: 100 years, and the end of the year 9999
SPAN_MOST = 100 * 366 * 86_400.0
TIME_MOST = 253_402_300_799.0


def seconds_of(value: object, field: str) -> float:
    """A span of time: seconds or a ``timedelta``, 0 to 100 years.  Raises ``ValidationError``."""
    return _number(value, field, SPAN_MOST, "at most 100 years")


def _number(value: object, field: str, most: float, bound: str) -> float:
    if isinstance(value, datetime.timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ValidationError(f"{field}: expected seconds, 0 or more, got {value!r:.40}", field)
    if value > most:
        raise ValidationError(f"{field}: expected {bound}, got {value!r:.40}", field)
    return float(value)


def wall_time(value: object, field: str) -> float:
    """Seconds since the epoch of an aware datetime, an ISO 8601 text with a zone, or a number.  Raises ``ValidationError``."""
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value)
        except ValueError:
            raise ValidationError(
                f"{field}: expected a time as 2030-01-31T08:00:00Z, got {value!r:.40}", field
            ) from None
    if isinstance(value, datetime.datetime):
        if value.utcoffset() is None:
            raise ValidationError(
                f"{field}: expected a time with its zone, as 2030-01-31T08:00:00Z, got one without", field
            )
        value = value.timestamp()
    return _number(value, field, TIME_MOST, "a time before the year 10000")
