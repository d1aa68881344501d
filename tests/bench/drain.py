"""Drain: how fast a full queue is worked off by the product as it is served, and how the console fares meanwhile.

The clock runs from ``resume`` until the last job's outcome is durable.  Queue and history were full before; sealing, sync to
disk, events, history and the console's own sampling are all on.
"""

from __future__ import annotations

import statistics
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.bench import house, rounds, work
from tests.bench.figures import Figure, Measure, Options, figures, percentile
from tests.bench.peers.beside import Beside
from tests.bench.served import served

JOBS = 50_000
#: jobs of the drain during which a client enqueues: long enough for hundreds of answers
BUSY_JOBS = 150_000

DRAIN = (
    Measure("rate", "drain of {jobs:,} no-op jobs, durable", "jobs/s", "more", 25_000),
    Measure("cpu", "processor time of the engine's process per job", "µs", "less"),
    Measure("behind", "history level with the log after the drain", "s", "less", 2.0),
    Measure("lag", "event-loop lag during the drain, p99", "ms", "less", 20),
)
BUSY = (
    Measure("p50", "answer to POST /v1/jobs during a drain, p50", "ms", "less"),
    Measure("p99", "answer to POST /v1/jobs during a drain, p99", "ms", "less", 100),
    Measure("lag", "event-loop lag during it, p99", "ms", "less", 20),
    Measure("rate", "the drain meanwhile", "jobs/s", "more"),
)


def drain(options: Options) -> list[Figure]:
    """The drain, and peers on the same work, in turns."""
    peers = Beside(options)
    answers = []
    for number in range(1, options.rounds + 1):
        answers.append(rounds.once(options, f"{__name__}:drain_round", number, jobs=options.of(JOBS)))
        peers.round(number)
    ours = figures("drain", DRAIN, answers, jobs=options.of(JOBS))
    return [*ours, *peers.figures(ours[0])]


def busy(options: Options) -> list[Figure]:
    """A client that enqueues over REST, one job after the other, while the queue is drained."""
    answers = rounds.run(options, f"{__name__}:busy_round", jobs=options.of(BUSY_JOBS))
    return figures("busy", BUSY, answers)


def drain_round(folder: Path, jobs: int) -> dict[str, float]:
    """One drain in a fresh console."""
    with served(folder / "home") as console:
        console.ask("fill", jobs=jobs)
        return console.ask("drain")


def busy_round(folder: Path, jobs: int) -> dict[str, float]:
    """One drain with a client; the client's own jobs go to another queue."""
    with served(folder / "home") as console:
        console.ask("fill", jobs=jobs)
        client = Client(console.port)
        client.enqueue()
        client.start()
        found: dict[str, Any] = console.ask("drain")
        seconds = client.stop(found["seconds"])
    return {
        "p50": statistics.median(seconds) * 1000,
        "p99": percentile(seconds, 99) * 1000,
        "lag": found["lag"],
        "rate": found["rate"],
    }


class Client(threading.Thread):
    """Enqueues over one connection, again and again, and notes how long each answer took."""

    def __init__(self, port: int) -> None:
        super().__init__(name="client", daemon=True)
        self._connection = HTTPConnection("127.0.0.1", port, timeout=30)
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._began = 0.0
        #: (when it was asked, seconds until the answer)
        self._answers: list[tuple[float, float]] = []

    def enqueue(self) -> None:
        """One job."""
        body = b'{"task": "%s", "queue": "clients", "args": {"n": -1, "text": "x"}}' % work.stamp.name.encode()
        headers = {"Authorization": f"Bearer {house.TOKEN}", "Content-Type": "application/json"}
        began = time.perf_counter()
        self._connection.request("POST", "/v1/jobs", body, headers)
        answer = self._connection.getresponse()
        told = answer.read()
        self._answers.append((began, time.perf_counter() - began))
        assert answer.status == 202, told

    def run(self) -> None:
        self._began = time.perf_counter()
        self._answers.clear()
        try:
            while not self._stopping.is_set():
                self.enqueue()
        except BaseException as error:
            self._failure = error

    def stop(self, within: float) -> list[float]:
        """End; the seconds of all answers that were asked for while the drain went on."""
        self._stopping.set()
        self.join(30)
        if self._failure is not None:
            raise self._failure
        self._connection.close()
        return [seconds for asked, seconds in self._answers if asked <= self._began + within]
