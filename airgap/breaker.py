"""How long a link that was lost stays cut before it may come back."""

from __future__ import annotations

from collections.abc import Callable

#: shortest and longest wait after a loss, and how soon after a return a loss doubles it
LEAST_HOLD, MOST_HOLD, FLAPPING = 1.0, 60.0, 60.0


class Breaker:
    """Keeps a flapping link cut for longer each time; a jitter keeps a fleet from coming back all at once."""

    def __init__(self, hold: float, until: float, dice: Callable[[], float]) -> None:
        #: seconds of the last hold
        self.hold = hold
        #: monotonic time before which the link stays cut
        self.until = until
        self._dice = dice
        self._returned: float | None = None

    def returned(self, now: float) -> None:
        """The link came back."""
        self._returned = now

    def lost(self, now: float) -> None:
        """The link was lost, or what it came back for failed."""
        soon = self._returned is not None and now - self._returned < FLAPPING
        self.hold = min(MOST_HOLD, 2 * self.hold) if soon else LEAST_HOLD
        self.until = now + min(MOST_HOLD, self.hold * (1.0 + 0.25 * self._dice()))
