"""What the answers to probes say about the history of a Redis.

Each probe is counted by Redis itself.  A count that does not follow the last one, or another name of the history, means
that what Redis had acknowledged may be gone; probes that were not answered may have been counted or not.
"""

from __future__ import annotations

from engine.storage.lanes import Pulse


class Chronicle:
    """Notices by the pulses of Redis that it is not where it was."""

    def __init__(self) -> None:
        self._last: Pulse | None = None
        self._unanswered = 0

    def unanswered(self) -> None:
        """A probe was not answered; Redis may have counted it."""
        self._unanswered += 1

    def read(self, pulse: Pulse) -> str:
        """What became of Redis since the last pulse, in words; "" if nothing did."""
        last, lost = self._last, self._unanswered
        self._last, self._unanswered = pulse, 0
        if last is None:
            return ""
        if pulse.history != last.history:
            return "Redis was emptied or exchanged"
        if pulse.beat <= last.beat:
            return "Redis went back in time"
        if pulse.beat > last.beat + 1 + lost:
            return "another process counts as this node: was its home copied?"
        return ""
