"""Keeps the interpreter's lock from being fought over while a batch is worked off.

Python threads that are awake beyond what one core can do only take turns and make everyone else wait, the console first.
So while there is a batch: process CPU above ``SATURATED`` of a core → park a worker; below ``SLACK``, or a batch from
which nobody takes → wake one.  Tasks that wait for something leave the CPU, and so all workers get up for them.
"""

from __future__ import annotations

import threading
import time

from engine.kernel.clock import Clock
from engine.workers.feeder import Feeder

#: seconds between two decisions
TICK = 0.002
SATURATED = 0.85
SLACK = 0.6
#: decisions without a job taken after which one more worker wakes, whatever the CPU does
STALLED = 5
#: decisions without a batch after which the pacer goes back to sleep
QUIET = 10


class Pacer:
    """One thread that decides how many workers are awake."""

    def __init__(self, feeder: Feeder, workers: int, clock: Clock) -> None:
        self._feeder = feeder
        self.workers = workers
        self._clock = clock
        self._stopping = threading.Event()
        #: workers that are to lie down after their present job
        self.surplus = 0
        self._thread = threading.Thread(target=self._run, name="holdfast-pacer", daemon=True)

    def start(self) -> None:
        """Begin pacing."""
        self._thread.start()

    def stop(self) -> None:
        """End; returns at once."""
        self._stopping.set()
        self._feeder.pace.ring()

    def should_rest(self) -> bool:
        """Asked by a worker after each job: whether it should lie down."""
        if self.surplus > 0 and len(self._feeder.parked) < self.workers - 1:
            self.surplus -= 1
            return True
        return False

    def _run(self) -> None:
        feeder = self._feeder
        while not self._stopping.is_set():
            if feeder.pace.sleep(0.5) and not self._stopping.is_set():
                feeder.paced = True
                self._pace()
                self.surplus = 0
                feeder.paced = False
                feeder.call_one()

    def _pace(self) -> None:
        quiet = stalled = 0
        cpu, at, taken = time.process_time(), self._clock.monotonic(), self._feeder.taken
        while quiet < QUIET and not self._stopping.wait(TICK):
            now_cpu, now_at, now_taken = time.process_time(), self._clock.monotonic(), self._feeder.taken
            stalled = stalled + 1 if now_taken == taken else 0
            quiet = 0 if self._feeder.ready else quiet + 1
            self._decide((now_cpu - cpu) / max(now_at - at, 1e-6), stalled)
            cpu, at, taken = now_cpu, now_at, now_taken

    def _decide(self, share: float, stalled: int) -> None:
        if self._feeder.ready and (share < SLACK or stalled >= STALLED):
            self.surplus = 0
            self._feeder.call_one()
        elif share > SATURATED:
            self.surplus = max(0, self.workers - len(self._feeder.parked) - 1)
