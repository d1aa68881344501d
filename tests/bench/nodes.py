"""Agents of a fleet as the bench runs them: an engine without a console in a process of its own, on one Redis with others.

Takes orders as ``served`` does: ``start`` begins to work, ``fill`` enqueues jobs, ``resume`` lets a paused queue go,
``trickle`` enqueues one job at a time with pauses, ``told`` says what ran here.  Times are those of the machine's monotonic
clock, which all its processes share.
"""

from __future__ import annotations

import contextlib
import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from airgap.view import CONNECTED, air_of
from engine import Engine, JobRequest, Settings
from engine.kernel.events import Event, JobCompleted
from tests.bench import house, work
from tests.bench.latency import PAUSES
from tests.bench.served import Ordered, ordered

BATCH = 10_000


class Node:
    """The inside of such a process."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.ended = 0
        self.last = 0.0
        engine.bus.subscribe(self._see)

    def _see(self, events: Sequence[Event]) -> None:
        ends = sum(type(event) is JobCompleted for event in events)
        if ends:
            self.ended += ends
            self.last = time.perf_counter()

    def start(self) -> dict[str, Any]:
        """Begin to work."""
        self.engine.start()
        house.until(lambda: air_of(self.engine.store).state == CONNECTED, 30, "the link to Redis stands")
        return {}

    def fill(self, task: str, jobs: int) -> dict[str, Any]:
        """Enqueue jobs that wait until ``resume``."""
        self.engine.pause(work.QUEUE)
        for first in range(0, jobs, BATCH):
            numbers = range(first, min(first + BATCH, jobs))
            self.engine.enqueue_many([JobRequest(task, {"n": n, "text": work.TEXT}) for n in numbers])
        return {}

    def enqueue(self, task: str, jobs: int) -> dict[str, Any]:
        """Enqueue jobs at once."""
        self.engine.enqueue_many([JobRequest(task, {"n": n, "text": work.TEXT}) for n in range(jobs)])
        return {}

    def resume(self) -> dict[str, Any]:
        """Let the queue go."""
        began = time.perf_counter()
        self.engine.resume(work.QUEUE)
        return {"began": began}

    def trickle(self, jobs: int) -> dict[str, Any]:
        """One job at a time; when each was asked for."""
        pause, rng, sent = threading.Event(), random.Random(1), {}
        for n in range(jobs):
            pause.wait(rng.uniform(*PAUSES))
            sent[n] = time.perf_counter()
            work.stamp.enqueue(n=n, text=work.TEXT)
        return {"sent": sent}

    def told(self) -> dict[str, Any]:
        """What ran here."""
        return {"ended": self.ended, "last": self.last, "started": work.RAN.started}


def main(home: str, options: str) -> int:
    """Obey until told to stop."""
    with contextlib.closing(_Engine(Path(home), json.loads(options))) as running:
        node = Node(running.engine)
        print(json.dumps({"port": 0}), flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            name = order.pop("do")
            if name == "stop":
                break
            answer: Callable[..., dict[str, Any]] = getattr(node, name)
            print(json.dumps(answer(**order)), flush=True)
    return 0


class _Engine:
    """An engine that stops when it is closed."""

    def __init__(self, home: Path, options: dict[str, Any]) -> None:
        self.engine = Engine(Settings(home=home, tasks=(work.__name__,), log_level="warning", **options))

    def close(self) -> None:
        self.engine.stop()


@contextlib.contextmanager
def nodes(folder: Path, count: int, **options: Any) -> Iterator[list[Ordered]]:
    """Such processes, not started yet; ``options`` are settings of theirs."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(ordered("tests.bench.nodes", str(folder / f"node-{number}"), json.dumps(options)))
            for number in range(count)
        ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
