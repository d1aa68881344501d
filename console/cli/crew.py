"""Keeps several agent processes running under one parent.

A process that died is started anew at once, and again later each time if it does not last; the new one opens the same home
under the same name and gives back what its predecessor held in its first words to Redis, ends that were not sent yet
first.  One that says its settings are wrong ends them all: none of the others can be right.
"""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Sequence

from engine.kernel.clock import Clock

log = logging.getLogger("holdfast.crew")

#: seconds between two looks at the processes
LOOK = 0.05
#: seconds before one that did not last is started anew, the first time and at most
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
#: one that ran so many seconds was well
WELL = 10.0
#: seconds from being asked to stop to being killed
STOP_SECONDS = 4.5
#: exit code for wrong settings
WRONG = 2


class Member:
    """One place in the crew."""

    def __init__(self, command: Sequence[str], slot: int) -> None:
        self._command = [*command, "--slot", str(slot)]
        self.slot = slot
        self.process: subprocess.Popen[bytes] | None = None
        self.began = 0.0
        #: monotonic time before which it is not started anew
        self.due = 0.0
        self.pause = 0.0

    def start(self, now: float) -> None:
        """Run it; its standard input ends with this process."""
        self.process = subprocess.Popen(self._command, stdin=subprocess.PIPE, start_new_session=True)
        self.began = now

    def ended(self, now: float) -> int | None:
        """Its exit code if it ended just now; when it is due again is decided then."""
        code = self.process.poll() if self.process is not None else None
        if code is not None and self.process is not None:
            if self.process.stdin is not None:
                self.process.stdin.close()
            self.process = None
            lasted = now - self.began >= WELL
            self.pause = 0.0 if lasted else min(max(FIRST_PAUSE, self.pause * 2), LONGEST_PAUSE)
            self.due = now + (0.0 if lasted or self.pause == FIRST_PAUSE else self.pause)
        return code


class Crew:
    """All of them."""

    def __init__(self, command: Sequence[str], size: int, clock: Clock) -> None:
        self.members = [Member(command, slot) for slot in range(1, size + 1)]
        self._clock = clock

    def run(self, stop: threading.Event) -> int:
        """Keep them running until ``stop``; the exit code."""
        code, delay = 0, 0.0
        while not code and not stop.wait(delay):
            code, delay = self.run_once(self._clock.monotonic())
        self.end()
        return code

    def run_once(self, now: float) -> tuple[int, float]:
        """Start who is due; returns an exit code that ends them all, or 0, and the seconds until the next look."""
        for member in self.members:
            code = member.ended(now)
            if code == WRONG:
                return WRONG, 0.0
            if code is not None:
                log.warning("agent %d ended with code %d; it is started anew", member.slot, code)
            if member.process is None and now >= member.due:
                member.start(now)
        return 0, LOOK

    def end(self) -> None:
        """Ask all to stop, and kill who does not."""
        running = [member.process for member in self.members if member.process is not None]
        for process in running:
            process.terminate()
        deadline = self._clock.monotonic() + STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.0, deadline - self._clock.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin is not None:
                process.stdin.close()
