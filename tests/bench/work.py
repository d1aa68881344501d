"""The tasks that are measured: they do nothing but be counted, so that what is left is the queue's own time."""

from __future__ import annotations

import threading
import time

from engine import task

QUEUE = "bench"
#: text that each job carries beside its number
TEXT = "an address, a subject, a few words: arguments as they are in practice"


class Ran:
    """Which jobs ran in this process, in order."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        #: number -> when its job started
        self.started: dict[int, float] = {}
        self.wanted = -1
        self.all = threading.Event()

    def expect(self, jobs: int) -> None:
        """Set ``all`` once so many jobs ran."""
        self.numbers.clear()
        self.started.clear()
        self.all.clear()
        self.wanted = jobs


RAN = Ran()
_parked = threading.Event()


@task(queue=QUEUE)
def noop(n: int, text: str) -> None:
    """Be counted."""
    RAN.numbers.append(n)


@task(queue=QUEUE)
def stamp(n: int, text: str) -> None:
    """Note when it started."""
    RAN.started[n] = time.perf_counter()
    if len(RAN.started) == RAN.wanted:
        RAN.all.set()


@task(queue=QUEUE)
def spin(n: int, text: str) -> None:
    """Keep a core busy for a millisecond."""
    until = time.thread_time() + 0.001
    while time.thread_time() < until:
        pass
    RAN.numbers.append(n)


@task(queue=QUEUE)
def park(n: int, text: str) -> None:
    """Note when it started, and stay."""
    RAN.started[n] = time.perf_counter()
    _parked.wait(60)
