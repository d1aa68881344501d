"""Enqueue: how fast jobs are accepted, each acknowledged only when it is as durable as promised.

One thread is held against the bare commit rate of this very disk: a plain SQLite table in WAL with ``synchronous = FULL``,
one row of a job's size per commit, measured in the same process a moment before.
"""

from __future__ import annotations

import contextlib
import sqlite3
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

from engine import Engine
from tests.bench import house, rounds, work
from tests.bench.figures import Figure, Measure, Options, figures, percentile

SECONDS = 2.0
THREADS = 16
BULK, BULKS = 10_000, 5
#: bytes of a row of the bare table: about what one sealed job takes
ROW = 400

POWER = (
    Measure("power.bare", "bare SQLite commits, synchronous = FULL", "/s"),
    Measure("power.one", "enqueue, one thread, power", "jobs/s"),
    Measure("power.share", "the same as a share of bare commits", "×", "more", 0.5),
    Measure("power.one_p99", "the same, p99 of the answer", "ms", "less"),
)
PROCESS = (Measure("process.one", "enqueue, one thread, process", "jobs/s", "more", 8_000),)
MANY = {
    "idle": Measure("power.many", f"enqueue, {THREADS} threads, power, workers idle", "jobs/s", "more", 8_000),
    "working": Measure(
        "power.many_working", f"enqueue, {THREADS} threads, power, workers running", "jobs/s", "more", 4_000
    ),
}
BULK_MEASURES = (
    Measure("bulk", f"bulk enqueue of {BULK:,}, validated, power", "jobs/s", "more", 50_000),
    Measure("bulk_bound", "the same, with the requests made by task.job(…)", "jobs/s"),
)


def enqueue(options: Options) -> list[Figure]:
    """All ways of enqueueing."""
    seconds = SECONDS / 4 if options.quick else SECONDS
    here = f"{__name__}:"
    found = figures("enqueue", POWER, rounds.run(options, here + "power_round", seconds=seconds))
    found += figures("enqueue", PROCESS, rounds.run(options, here + "process_round", seconds=seconds))
    for state, measure in MANY.items():
        answers = rounds.run(options, here + "many_round", seconds=seconds, working=state == "working")
        found += figures("enqueue", [measure], [{measure.key: answer["rate"]} for answer in answers])
    return [*found, *figures("enqueue", BULK_MEASURES, rounds.run(options, here + "bulk_round"))]


def power_round(folder: Path, seconds: float) -> dict[str, float]:
    """Bare commits, then jobs one after the other."""
    bare = bare_commits(folder, seconds)
    with house.house(folder / "home") as console:
        took = one_by_one(lambda n: send(n), seconds)
        check_waiting(console.engine, len(took) + 1)
    rate = len(took) / seconds
    return {
        "power.bare": bare,
        "power.one": rate,
        "power.share": rate / bare,
        "power.one_p99": percentile(took, 99) * 1000,
    }


def process_round(folder: Path, seconds: float) -> dict[str, float]:
    """Jobs one after the other, safe from the death of the process only."""
    with house.house(folder / "home", durability="process") as console:
        took = one_by_one(lambda n: send(n), seconds)
        check_waiting(console.engine, len(took) + 1)
    return {"process.one": len(took) / seconds}


def many_round(folder: Path, seconds: float, working: bool) -> dict[str, float]:
    """Threads that enqueue at the same time; ``working``: what they enqueue is run meanwhile."""
    with house.house(folder / "home") as console:
        if working:
            console.engine.start()
        send(0)
        counts = [0] * THREADS
        end = time.perf_counter() + seconds

        def enqueue_until_the_end(place: int) -> None:
            while time.perf_counter() < end:
                send(counts[place])
                counts[place] += 1

        threads = [threading.Thread(target=enqueue_until_the_end, args=(place,)) for place in range(THREADS)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - began
        if working:
            house.until(lambda: len(work.RAN.numbers) == sum(counts) + 1, 60, "all jobs ran")
        else:
            check_waiting(console.engine, sum(counts) + 1)
    return {"rate": sum(counts) / took}


def bulk_round(folder: Path) -> dict[str, float]:
    """Batches of requests, each one durable commit; validation is part of it."""
    with house.house(folder / "home") as console:
        ready = house.requests(BULK)
        send(0)
        bulk = [timed(lambda: console.engine.enqueue_many(ready)) for _ in range(BULKS)]
        bound = [timed(lambda: console.engine.enqueue_many(bound_requests())) for _ in range(BULKS)]
        check_waiting(console.engine, 2 * BULK * BULKS + 1)
    return {"bulk": BULK / statistics.median(bulk), "bulk_bound": BULK / statistics.median(bound)}


def bound_requests() -> list[house.JobRequest]:
    return [work.noop.job(n=n, text=work.TEXT) for n in range(BULK)]


def send(n: int) -> None:
    """Enqueue one job as a program would."""
    work.noop.enqueue(n=n, text=work.TEXT)


def one_by_one(call: Callable[[int], None], seconds: float) -> list[float]:
    """Seconds that each call took, for so long; the first, which warms up, is not counted."""
    call(0)
    took: list[float] = []
    now = time.perf_counter()
    end = now + seconds
    while now < end:
        call(len(took) + 1)
        before, now = now, time.perf_counter()
        took.append(now - before)
    return took


def bare_commits(folder: Path, seconds: float) -> float:
    """Commits a second of a plain table on the same disk."""
    with contextlib.closing(sqlite3.connect(folder / "bare.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE rows (n INTEGER PRIMARY KEY, value BLOB)")
        row = (b"x" * ROW,)
        return len(one_by_one(lambda _: insert(connection, row), seconds)) / seconds


def insert(connection: sqlite3.Connection, row: tuple[bytes]) -> None:
    connection.execute("INSERT INTO rows (value) VALUES (?)", row)


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def check_waiting(engine: Engine, jobs: int) -> None:
    """All that was acknowledged is there."""
    waiting = engine.counts()[work.QUEUE]["available"]
    assert waiting == jobs, f"{waiting} jobs wait where {jobs} were accepted"
