"""How many attempts a process has ended, and how long they ran.  Counted by the one thread that writes ends."""

from __future__ import annotations

from collections.abc import Iterable

from engine.kernel.events import AttemptEnded, JobCompleted, JobDied, JobRetryScheduled


class Tally:
    """Figures since the start of the process."""

    def __init__(self) -> None:
        #: attempts that completed or failed, and those of them that failed
        self.done = 0
        self.failed = 0
        #: seconds that they ran
        self.seconds = 0.0

    def take(self, ends: Iterable[AttemptEnded]) -> None:
        """Count ends; what was handed back or put off counts neither way."""
        for end in ends:
            kind = type(end)
            if kind is JobCompleted or kind is JobDied or kind is JobRetryScheduled:
                self.done += 1
                self.failed += kind is not JobCompleted
                self.seconds += end.duration

    @property
    def mean_seconds(self) -> float:
        """Mean run time; 0 before the first end."""
        return self.seconds / self.done if self.done else 0.0
