"""Latency: from the call of ``enqueue`` to the first line of the task, the sync to disk in between.

Idle: one job at a time, with pauses long enough for every worker to fall asleep.  Busy: four threads enqueue 500 jobs a
second each, by the clock.  What a caller waits for its own turn is not in it, so the rate reached is told beside.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from engine import Engine
from tests.bench import house, rounds, work
from tests.bench.figures import Figure, Measure, Options, figures, percentile

JOBS = 500
#: seconds between two jobs
PAUSES = (0.005, 0.03)
RATE, THREADS, SECONDS = 2_000, 4, 3.0

IDLE = (
    Measure("idle_p50", "enqueue → start, idle, p50", "ms", "less", 1.0),
    Measure("idle_p99", "enqueue → start, idle, p99", "ms", "less", 5.0),
    Measure("idle_sync", "of it until enqueue returned, synced to disk, p50", "ms", "less"),
    Measure("idle_after", "of it after enqueue returned, p50", "ms", "less"),
)
BUSY = (
    Measure("busy_p50", f"enqueue → start at {RATE:,} jobs/s, p50", "ms", "less"),
    Measure("busy_p99", f"enqueue → start at {RATE:,} jobs/s, p99", "ms", "less", 10.0),
    Measure("busy_rate", "rate reached meanwhile", "jobs/s"),
)


def latency(options: Options) -> list[Figure]:
    """Idle and busy."""
    idle = rounds.run(options, f"{__name__}:idle_round", jobs=options.of(JOBS))
    busy = rounds.run(options, f"{__name__}:busy_round", seconds=SECONDS / 3 if options.quick else SECONDS)
    return figures("latency", IDLE, idle) + figures("latency", BUSY, busy)


def idle_round(folder: Path, jobs: int) -> dict[str, float]:
    """One job at a time."""
    pause, rng = threading.Event(), random.Random(1)
    with house.house(folder / "home") as console:
        console.engine.start()
        warm_up(console.engine)
        work.RAN.expect(jobs)
        sent: dict[int, float] = {}
        returned: dict[int, float] = {}
        for n in range(jobs):
            pause.wait(rng.uniform(*PAUSES))
            sent[n] = time.perf_counter()
            work.stamp.enqueue(n=n, text=work.TEXT)
            returned[n] = time.perf_counter()
        waits = all_waits(sent)
    return {
        "idle_p50": statistics.median(waits),
        "idle_p99": percentile(waits, 99),
        "idle_sync": statistics.median((returned[n] - sent[n]) * 1000 for n in range(jobs)),
        "idle_after": statistics.median(all_waits(returned)),
    }


def busy_round(folder: Path, seconds: float) -> dict[str, float]:
    """A steady stream."""
    with house.house(folder / "home") as console:
        console.engine.start()
        warm_up(console.engine)
        jobs = int(RATE * seconds)
        work.RAN.expect(jobs)
        sent: dict[int, float] = {}
        began = time.perf_counter()
        threads = [
            threading.Thread(target=stream, args=(range(place, jobs, THREADS), began, sent)) for place in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - began
        waits = all_waits(sent)
    return {"busy_p50": statistics.median(waits), "busy_p99": percentile(waits, 99), "busy_rate": jobs / took}


def stream(numbers: range, began: float, sent: dict[int, float]) -> None:
    """Enqueue each number at its moment, or at once if that has passed."""
    pause = threading.Event()
    for n in numbers:
        early = began + n / RATE - time.perf_counter()
        if early > 0:
            pause.wait(early)
        sent[n] = time.perf_counter()
        work.stamp.enqueue(n=n, text=work.TEXT)


def warm_up(engine: Engine) -> None:
    """Some jobs that don't count."""
    work.RAN.expect(50)
    for n in range(50):
        work.stamp.enqueue(n=n, text=work.TEXT)
    assert work.RAN.all.wait(30), "the engine does not run jobs"


def all_waits(sent: Mapping[int, float]) -> list[float]:
    """Milliseconds that each job waited; all must have started."""
    assert work.RAN.all.wait(60), f"{len(work.RAN.started)} of {len(sent)} jobs started"
    return [(work.RAN.started[n] - at) * 1000 for n, at in sent.items()]
