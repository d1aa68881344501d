"""Start: from ``python3 run.py`` to the first 200 of ``/readyz``, the environment standing; and the way to its end.

The full home is made once and copied for each round.  It is what a crash leaves behind: 300,000 jobs were run, 100,000 more
were accepted, then the process was killed, so there is no last word in the log and the workers have much to do at once.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench import house, rounds, work
from tests.bench.figures import Figure, Measure, Options, figures
from tests.bench.launched import launched

FINISHED, WAITING = 300_000, 100_000
PATIENCE = 900.0

#: jobs that run at the stop: as many as there are workers by default
RUNNING = 8

EMPTY = (
    Measure("empty", "run.py to /readyz, empty home", "s", "less", 3.0),
    Measure("stop", "SIGTERM to its end, {running} jobs running that do not listen", "s", "less", 5.0),
)
FULL = (
    Measure("full", "run.py to /readyz, {waiting:,} waiting and {finished:,} finished in the log", "s", "less", 5.0),
)


def starting(options: Options) -> list[Figure]:
    """Both starts, and a stop."""
    found = figures("starting", EMPTY, rounds.run(options, f"{__name__}:empty_round"), running=RUNNING)
    with tempfile.TemporaryDirectory(prefix="hf-bench-", dir=options.folder) as folder:
        home = Path(folder) / "home"
        rounds.tell(f"  starting: making a home with {options.of(FINISHED + WAITING):,} jobs")
        leave_behind(home, options.of(FINISHED), options.of(WAITING))
        answers = rounds.run(options, f"{__name__}:full_round", home=home, waiting=options.of(WAITING))
    return found + figures("starting", FULL, answers, waiting=options.of(WAITING), finished=options.of(FINISHED))


def empty_round(folder: Path) -> dict[str, float]:
    """A first start, and a stop in the middle of work."""
    with launched(folder / "home") as console:
        console.enqueue(work.park.name, RUNNING)
        house.until(lambda: console.get("/queue/health")["stats"]["active"] == RUNNING, 60, "all jobs run")
        return {"empty": console.ready, "stop": console.stop()}


def full_round(folder: Path, home: str, waiting: int) -> dict[str, float]:
    """A start after a crash; all that waited must be run after it."""
    shutil.copytree(home, folder / "home")
    with launched(folder / "home") as console:
        ready = console.ready
        house.until(lambda: left(console.get("/queue/health")) == 0, 120, f"all {waiting} jobs are run")
    known = house.in_history(folder / "home", "completed")
    assert known >= waiting, f"history knows {known} completed jobs"
    return {"full": ready}


def left(health: dict[str, dict[str, int]]) -> int:
    """Jobs that wait or run."""
    return health["stats"]["waiting"] + health["stats"]["active"]


def leave_behind(home: Path, finished: int, waiting: int) -> None:
    """A home as a crash leaves it."""
    for do, jobs in (("finish", finished), ("wait", waiting)):
        command = [sys.executable, "-m", __name__, do, str(home), str(jobs)]
        done = subprocess.run(command, cwd=rounds.ROOT, timeout=PATIENCE, capture_output=True, text=True)
        assert done.returncode == -signal.SIGKILL, f"the home could not be made: {done.stderr[-2000:]}"


def finish(home: Path, jobs: int) -> None:
    """Run so many jobs, have history level, and die."""
    with house.house(home) as console:
        finished = house.Finished(console.engine, jobs)
        console.engine.start()
        house.fill(console.engine, jobs)
        finished.wait(PATIENCE)
        house.history_is_level(console, PATIENCE)
        os.kill(os.getpid(), signal.SIGKILL)


def wait(home: Path, jobs: int) -> None:
    """Accept so many jobs, have history level, and die."""
    with house.house(home) as console:
        house.fill(console.engine, jobs)
        assert console.engine.counts()[work.QUEUE]["available"] == jobs
        house.history_is_level(console, PATIENCE)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    {"finish": finish, "wait": wait}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
