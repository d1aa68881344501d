"""What an answer means for the job.  Pure.

2xx is delivered.  408, 425, 429 and 5xx are worth another attempt, at the time that ``Retry-After`` names if there is
one.  Everything else, redirects too, will be the same next time: the job is dead at once.
"""

from __future__ import annotations

import datetime
import re
from email.utils import parsedate_to_datetime

from engine import Discard, RetryAfter
from plugins.catalog.webhooks.sending import Answer

AGAIN = frozenset({408, 425, 429})
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class DeliveryFailed(RuntimeError):
    """The event was not taken; worth another attempt."""


def refuse_failure(answer: Answer, where: str, now: float) -> None:
    """Raise what the answer asks for, unless it says that the event was taken."""
    if 200 <= answer.status < 300:
        return
    said = f"{where} answered {answer.status}"
    if answer.status in AGAIN or answer.status >= 500:
        wait = retry_after(answer.headers.get("retry-after", ""), now)
        if wait is not None:
            raise RetryAfter(wait, f"{said} and asks to wait {wait:g} s")
        raise DeliveryFailed(_with_text(said, answer))
    if 300 <= answer.status < 400:
        raise Discard(f"{said}, a redirect, which is not followed; give the address that it leads to")
    raise Discard(_with_text(said, answer))


def _with_text(said: str, answer: Answer) -> str:
    text = " ".join(shown(answer.body[:800]).split())[:300]
    return f"{said}: {text}" if text else said


def retry_after(value: str, now: float) -> float | None:
    """Seconds that a ``Retry-After`` asks for, given as seconds or as a date; ``None`` if it says nothing clear."""
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    aware = at if at.tzinfo else at.replace(tzinfo=datetime.UTC)
    return max(0.0, aware.timestamp() - now)


def shown(body: bytes) -> str:
    """An answer's body as text that any database and page takes."""
    return _CONTROLS.sub("", body.decode("utf-8", errors="replace"))
