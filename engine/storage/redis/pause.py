"""Patience with a server that could not be reached, so that many nodes don't all knock at it at the same moments."""

from __future__ import annotations

import random

from engine.kernel.clock import Clock
from engine.kernel.errors import Unreachable

#: seconds of the pause after the first failure, and of the longest
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0


class Pause:
    """How long to leave a server alone that could not be reached."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._until = 0.0
        self._why = ""
        self._dice = random.SystemRandom()

    def check(self) -> None:
        """Raises ``Unreachable`` while the pause lasts."""
        if self._clock.monotonic() < self._until:
            raise Unreachable(self._why)

    def failed(self, why: str) -> None:
        """Begin a pause, longer than the last."""
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2**self._failures)
        self._failures = min(self._failures + 1, 10)
        self._until, self._why = self._clock.monotonic() + self._dice.uniform(0, longest), why

    def over(self) -> None:
        """It was reached."""
        self._failures, self._until = 0, 0.0
