"""Ends attempts that run longer than their job's timeout.  One thread, started with the first timeout.

Only attempts that run are known here, so what it holds is bounded by the number of workers, however long timeouts are.
"""

from __future__ import annotations

import math
import threading
from typing import Protocol

from engine.kernel.clock import Clock
from engine.kernel.errors import AttemptTimeout
from engine.workers.isolation import Body

#: longest sleep between two looks, seconds
LONGEST = 3600.0


class Watched(Protocol):
    """An attempt with a timeout."""

    body: Body | None
    finished: bool


class Deadlines:
    """Knows when which attempt has to be over."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: id of an attempt -> (monotonic time by which it has to be over, its timeout, the attempt)
        self._watched: dict[int, tuple[float, float, Watched]] = {}
        self._changed = threading.Condition()
        #: monotonic time at which the thread looks again
        self._looks_at = math.inf
        self._thread: threading.Thread | None = None
        self._stopping = False

    def __len__(self) -> int:
        return len(self._watched)

    def watch(self, attempt: Watched, seconds: float) -> None:
        """Interrupt ``attempt`` after ``seconds``, unless ``unwatch`` comes first."""
        at = self._clock.monotonic() + seconds
        self._watched[id(attempt)] = (at, seconds, attempt)
        if at < self._looks_at:
            self._look_sooner()

    def _look_sooner(self) -> None:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="holdfast-deadlines", daemon=True)
                self._thread.start()
            self._changed.notify()

    def unwatch(self, attempt: Watched) -> None:
        """The attempt is over; harmless if its time was up."""
        self._watched.pop(id(attempt), None)

    def stop(self) -> None:
        """Watch no more."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while not self._stopping:
                self._changed.wait(self.run_once())

    def run_once(self) -> float | None:
        """Interrupt what is overdue; seconds until the next look, ``None`` if none is watched."""
        self._looks_at = math.inf  # whoever comes during the look calls for another one
        now = self._clock.monotonic()
        for key, (at, seconds, attempt) in list(self._watched.items()):
            if at <= now and self._watched.pop(key, None) is not None and not attempt.finished and attempt.body:
                attempt.body.interrupt(AttemptTimeout(f"ran longer than its timeout of {seconds:g} s"))
        next_at = min((entry[0] for entry in list(self._watched.values())), default=None)
        self._looks_at = math.inf if next_at is None else min(next_at, now + LONGEST)
        return None if next_at is None else self._looks_at - now
