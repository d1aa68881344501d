"""Time, in one place.

Everything in the house that needs the time gets a ``Clock``; nothing else calls ``time.time``.  ``now`` is wall-clock
seconds since the epoch (may jump), ``monotonic`` only goes forward and is what leases and durations are measured with.
"""

from __future__ import annotations

import datetime
import threading
import time
from typing import Protocol


class Clock(Protocol):
    """What reads the time."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back, for durations and deadlines."""


class SystemClock:
    """The machine's own clock."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class FakeClock:
    """A clock that stands still until a test moves it.  ``jump`` moves wall time only, as a wrong NTP step would."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._lock = threading.Lock()
        self._now = now
        self._monotonic = 1_000.0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        with self._lock:
            self._now += seconds
            self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back without any time passing."""
        with self._lock:
            self._now += seconds


def iso(at: float | None) -> str | None:
    """ISO 8601 in UTC with milliseconds, the form of every time in the API; ``None`` and 0 (never) give ``None``."""
    if not at:
        return None
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
