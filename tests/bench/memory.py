"""Memory: all processes of an idle console, and what one more waiting job costs.

Resident memory counts pages that processes share once for each of them, so the sum of it is on the careful side; the
proportional share, where the system tells it, is shown beside.  A waiting job's cost is resident memory before and after
100,000 of them, less their payloads.
"""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import psutil

from engine.queue import codec
from tests.bench import house, rounds, work
from tests.bench.figures import Figure, Measure, Options, figures
from tests.bench.launched import Launched, launched

JOBS = 100_000
#: seconds that a console is left alone before it is weighed
QUIET = 5.0
MIB = 2**20

IDLE = (
    Measure("idle", "resident memory of all processes, idle", "MiB", "less", 200e6 / MIB),
    Measure("idle_shared", "the same with shared pages counted once", "MiB", "less"),
)
WAITING = (
    Measure("job", "memory per waiting job beyond its payload, {jobs:,} jobs", "bytes", "less", 1_000),
    Measure("payload", "payload of each", "bytes", "less"),
)


def memory(options: Options) -> list[Figure]:
    """Idle, and per waiting job: also for a quick look in full, since few jobs tell nothing of one."""
    idle = rounds.run(options, f"{__name__}:idle_round")
    waiting = rounds.run(options, f"{__name__}:waiting_round", jobs=JOBS)
    return figures("memory", IDLE, idle) + figures("memory", WAITING, waiting, jobs=JOBS)


def idle_round(folder: Path) -> dict[str, float]:
    """A console that nobody uses."""
    with launched(folder / "home") as console:
        threading.Event().wait(QUIET)
        return {"idle": resident(console), "idle_shared": shared(console)}


def resident(console: Launched) -> float:
    return sum(process.memory_info().rss for process in console.processes()) / MIB


def shared(console: Launched) -> float:
    """Proportional set size where there is one, else unique."""
    full = [process.memory_full_info() for process in console.processes()]
    return sum(getattr(one, "pss", one.uss) for one in full) / MIB


def waiting_round(folder: Path, jobs: int) -> dict[str, float]:
    """Many jobs that wait."""
    with house.house(folder / "home") as console:
        house.fill(console.engine, 10_000)
        before = own_memory()
        house.fill(console.engine, jobs)
        grown = own_memory() - before
    payload = len(codec.encode({"n": jobs // 2, "text": work.TEXT}))
    return {"job": grown / jobs - payload, "payload": payload}


def own_memory() -> int:
    gc.collect()
    rss: int = psutil.Process().memory_info().rss
    return rss
