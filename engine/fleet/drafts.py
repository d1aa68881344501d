"""Makes notices, and refuses what could not be delivered."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from engine.fleet.base import Notice
from engine.kernel.clock import Clock
from engine.kernel.errors import ValidationError
from engine.kernel.job import new_id

#: longest text of a notice in characters, and its data as JSON in bytes
TEXT_MOST, DATA_MOST = 2_000, 16_384
#: seconds that a notice is kept at most
TTL_MOST = 7 * 86_400.0


def notice_of(
    clock: Clock, text: object, by: str, priority: object, ttl: object, data: dict[str, Any], to: str
) -> Notice:
    """A notice with an id of its own.  Raises ``ValidationError`` naming the field."""
    now, lasting = clock.now(), _ttl(ttl)
    return Notice(new_id(), now, _text(text), _priority(priority), _data(data), by, now + lasting, to)


def _text(value: object) -> str:
    if isinstance(value, str) and value.strip() and len(value) <= TEXT_MOST:
        return value
    raise ValidationError(f"text: expected 1–{TEXT_MOST:,} characters", "text")


def _priority(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10:
        return value
    raise ValidationError(f"priority: expected a number from 1 (first) to 10 (last), got {value!r:.40}", "priority")


def _ttl(value: object) -> float:
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and 0 < value <= TTL_MOST
    ):
        return float(value)
    raise ValidationError(f"ttl: expected seconds, more than 0 and at most 7 days, got {value!r:.40}", "ttl")


def _data(value: dict[str, Any]) -> dict[str, Any]:
    try:
        size = len(msgspec.json.encode(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValidationError(f"data: expected what JSON can say: {error}", "data") from None
    if size > DATA_MOST:
        raise ValidationError(f"data: expected at most {DATA_MOST:,} bytes as JSON, got {size:,}", "data")
    return value
