"""Several agents on one Redis: two beside one, jobs that find eight of them idle, and one that is killed while it works."""

from __future__ import annotations

import os
import signal
import statistics
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench import house, rounds, work
from tests.bench.figures import Figure, Measure, Options, figures, percentile
from tests.bench.linked import address
from tests.bench.nodes import nodes
from tests.bench.peers import redis
from tests.bench.served import Ordered

_pause = threading.Event()
NOOPS, SPINS = 100_000, 8_000
#: processes that wait for one job, jobs that they get
IDLE, TRICKLE = 8, 300
#: jobs that run when their agent is killed
RUNNING = 50

BESIDE = (
    Measure("spin_one", "jobs of 1 ms processor time, one agent", "jobs/s"),
    Measure("spin_two", "the same, two agents", "jobs/s"),
    Measure("spin_times", "two agents over one, 1 ms of processor time", "×", "more", 1.6),
    Measure("noop_one", "no-op jobs, one agent", "jobs/s"),
    Measure("noop_two", "the same, two agents", "jobs/s"),
    Measure("noop_times", "two agents over one, no-op", "×", "more", 1.0),
)
ACROSS = (
    Measure("p50", f"enqueue → start across {IDLE} idle processes, p50", "ms", "less", 3.0),
    Measure("p99", f"enqueue → start across {IDLE} idle processes, p99", "ms", "less", 10.0),
)
KILLED = (
    Measure("last", f"kill -9 of an agent with {RUNNING} running jobs: all run elsewhere", "s", "less", 5.0),
    Measure("lost", "jobs lost by it", "jobs", "less", 0.0),
)


def agents(options: Options) -> list[Figure]:
    """Two agents beside one."""
    sizes = {"noops": options.of(NOOPS), "spins": options.of(SPINS)}
    return figures("agents", BESIDE, rounds.run(options, f"{__name__}:agents_round", **sizes))


def across(options: Options) -> list[Figure]:
    """One job at a time for whoever is awake first."""
    return figures("across", ACROSS, rounds.run(options, f"{__name__}:across_round", jobs=options.of(TRICKLE)))


def killed(options: Options) -> list[Figure]:
    """A death in the middle of work."""
    return figures("killed", KILLED, rounds.run(options, f"{__name__}:killed_round"))


def agents_round(folder: Path, noops: int, spins: int) -> dict[str, float]:
    """The four drains, each on an empty Redis."""
    found: dict[str, float] = {}
    for task, jobs in (("spin", spins), ("noop", noops)):
        one, two = (worked_off(folder / f"{task}-{count}", count, task, jobs) for count in (1, 2))
        found |= {f"{task}_one": one, f"{task}_two": two, f"{task}_times": two / one}
    return found


def worked_off(folder: Path, count: int, task: str, jobs: int) -> float:
    """Jobs a second of so many agents."""
    with redis.server() as port, nodes(folder, count, redis=address(port), durability="redis") as running:
        started(running)
        running[0].ask("fill", task=getattr(work, task).name, jobs=jobs)
        began = running[0].ask("resume")["began"]
        told: list[dict[str, Any]] = []

        def all_ended() -> bool:
            told[:] = [node.ask("told") for node in running]
            _pause.wait(0.05)
            return sum(answer["ended"] for answer in told) >= jobs

        house.until(all_ended, 120, "all jobs ended")
        assert sum(answer["ended"] for answer in told) == jobs, "each job runs once"
        return jobs / (max(answer["last"] for answer in told) - began)


def started(running: Sequence[Ordered]) -> None:
    """Let all begin to work, at the same time."""
    for node in running:
        node.order("start")
    for node in running:
        node.answer()


def across_round(folder: Path, jobs: int) -> dict[str, float]:
    """Eight idle agents, the first of which enqueues."""
    options = {"durability": "redis", "workers": 2}
    with redis.server() as port, nodes(folder, IDLE, redis=address(port), **options) as running:
        started(running)
        running[0].ask("trickle", jobs=jobs // 10)
        sent = running[0].ask("trickle", jobs=jobs)["sent"]
        begun: dict[str, float] = {}

        def all_begun() -> bool:
            # the numbers of the warm-up come again, maybe elsewhere
            for node in running:
                for n, at in node.ask("told")["started"].items():
                    begun[n] = max(at, begun.get(n, 0.0))
            return all(begun.get(n, 0.0) >= sent[n] for n in sent)

        house.until(all_begun, 30, "all jobs began")
    waits = [(begun[n] - sent[n]) * 1000 for n in sent]
    return {"p50": statistics.median(waits), "p99": percentile(waits, 99)}


def killed_round(folder: Path) -> dict[str, float]:
    """One agent is killed with all its slots full; the other one is idle."""
    options = {"durability": "redis", "workers": RUNNING}
    with redis.server() as port, nodes(folder, 2, redis=address(port), **options) as (victim, heir):
        victim.ask("start")
        victim.ask("enqueue", task=work.park.name, jobs=RUNNING)
        house.until(lambda: len(victim.ask("told")["started"]) == RUNNING, 30, "all run")
        heir.ask("start")
        killed_at = time.perf_counter()
        os.kill(victim.process.pid, signal.SIGKILL)
        house.until(lambda: len(heir.ask("told")["started"]) == RUNNING, 30, "all run elsewhere")
        begun = heir.ask("told")["started"]
        os.kill(heir.process.pid, signal.SIGKILL)
        heir.process.wait(10)
    return {"last": max(begun.values()) - killed_at, "lost": RUNNING - len(begun)}
