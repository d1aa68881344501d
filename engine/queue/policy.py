"""What is set for a queue, checked: how many of its jobs run at once, how fast, in which rank, retried how."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from engine.kernel.errors import DeclarationError, ValidationError
from engine.kernel.job import NORMAL
from engine.kernel.queues import AIRGAPS, DURABILITIES, RECLAIMS
from engine.queue.request import seconds_of
from engine.queue.retry import Retry
from engine.storage.base import QueueLimits

_RATE = re.compile(r"\s*(\d+)\s*/\s*(\d*)\s*(s|m|h|d)\s*\Z")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class QueuePolicy(msgspec.Struct, frozen=True):
    """Settings of one queue; ``None`` where nothing is set."""

    name: str
    #: jobs of it that run at the same time
    concurrency: int | None = None
    #: as in ``100/m``
    rate_limit: str | None = None
    #: which queue goes first when slots are scarce, 1 (first) to 10
    priority: int = NORMAL
    #: backoff of its jobs where the task names none
    retry: Retry | None = None
    #: seconds that its ended jobs stay in history
    retention: float | None = None
    #: band of its jobs where neither task nor request says one
    job_priority: int = NORMAL
    #: ``power``, ``process`` or ``redis``; ``None`` as set for all queues
    durability: str | None = None
    #: who takes back the jobs of a node that is cut off: ``deadline`` or ``hold``
    reclaim: str = "deadline"
    #: whether a node that is cut off runs its own jobs: ``run`` or ``wait``
    airgap: str = "run"

    def limits(self) -> QueueLimits:
        """What the store has to know."""
        return QueueLimits(
            concurrency=self.concurrency,
            rate=None if self.rate_limit is None else rate_of(self.rate_limit),
            priority=self.priority,
            durability=self.durability,
            reclaim=self.reclaim,
            airgap=self.airgap,
        )


def rate_of(text: object) -> tuple[float, float]:
    """(jobs, seconds) of a rate limit such as ``100/m`` or ``5/10s``.  Raises ``ValidationError``."""
    found = _RATE.match(text) if isinstance(text, str) else None
    if found is None or not int(found[1]) or found[2] == "0":
        raise ValidationError(
            f"rate_limit: expected jobs per time as 5/s, 100/m or 1000/15m, got {text!r:.40}", "rate_limit"
        )
    return float(found[1]), float(int(found[2] or 1) * _UNITS[found[3]])


def changed(policy: QueuePolicy, changes: Mapping[str, Any]) -> QueuePolicy:
    """The policy with some settings replaced.  Raises ``ValidationError`` naming the setting."""
    checks = {
        "concurrency": _concurrency, "rate_limit": _rate, "priority": _priority, "retry": _retry, "retention": _retention,
        "durability": _durability, "reclaim": _one_of("reclaim", RECLAIMS), "airgap": _one_of("airgap", AIRGAPS),
    }  # fmt: skip
    for name in changes:
        if name not in checks:
            raise ValidationError(f"{name}: a queue has no such setting; known are {', '.join(checks)}", str(name))
    return msgspec.structs.replace(policy, **{name: checks[name](value) for name, value in changes.items()})


def _concurrency(value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 100_000):
        return value
    raise ValidationError(f"concurrency: expected a whole number from 1, or nothing, got {value!r:.40}", "concurrency")


def _rate(value: object) -> str | None:
    if value is not None:
        rate_of(value)
    return value  # type: ignore[return-value]


def _priority(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10:
        return value
    raise ValidationError(f"priority: expected a number from 1 (first) to 10 (last), got {value!r:.40}", "priority")


def _retry(value: object) -> Retry | None:
    if value is None or isinstance(value, Retry):
        return value
    if isinstance(value, Mapping):
        try:
            return Retry(**value)
        except (TypeError, DeclarationError) as error:
            raise ValidationError(f"retry: {str(error).removeprefix('Retry: ')}", "retry") from None
    raise ValidationError("retry: expected a Retry, or a table of its settings", "retry")


def _durability(value: object) -> str | None:
    return None if value is None else _one_of("durability", DURABILITIES)(value)


def _one_of(name: str, words: Sequence[str]) -> Callable[[object], str]:
    def check(value: object) -> str:
        if isinstance(value, str) and value in words:
            return value
        raise ValidationError(f"{name}: expected one of {', '.join(words)}, got {value!r:.40}", name)

    return check


def _retention(value: object) -> float | None:
    return None if value is None else seconds_of(value, "retention")
