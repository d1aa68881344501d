"""The process that is killed: ``python -m tests.crash.mortal HOME JOBS [forever]``.

It opens the home, works off whatever waits there, enqueues at least ``JOBS`` more from two threads, until its house has
been kept for some rounds (told ``forever``, until it is killed), and says each id, with the job's number, on standard
output only after the engine accepted it.  Every execution leaves a line in ``HOME/effects``.  Meanwhile it records
history, makes checkpoints, trims what history has and rotates keys, so that the faults in those places come by too.  It
ends by itself, with exit code 0, when nothing is left to do — or at the fault point that ``HOLDFAST_FAULT`` names, or when
its parent has had enough.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
from pathlib import Path

from data.database import open_database
from data.recorder import Recorder
from engine import Context, Engine, Retry, Settings
from engine.kernel import faults
from engine.queue.task import declare

#: one in so many jobs fails once, one is a moment longer
FAILS, LINGERS = 7, 11
FEEDERS, BATCH = 2, 5
#: times that the house is kept in a life
ROUNDS = 5

_effects = -1
_pause = threading.Event()


def work(ctx: Context, number: int) -> int:
    """Leaves its mark, once per execution."""
    os.write(_effects, f"{ctx.job_id}\n".encode())
    if number % FAILS == 0 and ctx.attempt == 1:
        raise ValueError("fails once")
    if number % LINGERS == 0:
        _pause.wait(0.02)
    return number


def enqueue(engine: Engine, jobs: int, say: threading.Lock, kept: threading.Semaphore) -> None:
    """Enqueue jobs one by one and in small batches, and say what was accepted."""
    number = 0
    while number < jobs or (jobs and not kept.acquire(timeout=0.05)):
        number += BATCH
        numbers = [number + place for place in range(BATCH)]
        batch = [task.job(one) for one in numbers]
        handles = [engine.enqueue_many(batch[:1])[0], *engine.enqueue_many(batch[1:])]
        with say:
            sys.stdout.write("".join(f"{handle.id} {one}\n" for handle, one in zip(handles, numbers, strict=True)))
            sys.stdout.flush()


def keep_house(engine: Engine, done: threading.Event, kept: threading.Semaphore, enough: int) -> None:
    """History, checkpoints, trims and rotations, again and again; tells when it was ``enough`` times."""
    store = engine.store
    database = open_database("", engine.settings.home)
    rounds = 0
    while not done.wait(0.01):
        rounds += 1
        if rounds == enough:
            kept.release(FEEDERS)
        reader = store.reader()
        recorder = Recorder(database, reader, engine.clock)
        store.release_segments("recorder", recorder.catch_up())
        recorder.close()
        reader.close()
        store.keeper.checkpoint()
        store.rotate_keys()
        store.keeper.trim(engine.clock.now())
        store.keeper.reseal_some()
    database.close()


def left(engine: Engine) -> int:
    """Jobs that have not ended."""
    return sum(n for counts in engine.counts().values() for state, n in counts.items() if state != "dead")


task = declare(work, name="crash.work", max_attempts=3, backoff=Retry(initial=0.01, maximum=0.02))


def main() -> None:
    """Live until done or killed."""
    global _effects
    home, jobs, enough = Path(sys.argv[1]), int(sys.argv[2]), 0 if "forever" in sys.argv else ROUNDS
    faults.arm_from(os.environ.get("HOLDFAST_FAULT", ""))
    _effects = os.open(home / "effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    settings = dataclasses.replace(Settings(home=home), workers=4, durability="process", journal_retention=0.0)
    engine = Engine(settings)
    engine.add(task)
    done = threading.Event()
    with engine:
        kept, say = threading.Semaphore(0), threading.Lock()
        keeper = threading.Thread(target=keep_house, args=(engine, done, kept, enough))
        keeper.start()
        share = jobs // FEEDERS
        feeders = [threading.Thread(target=enqueue, args=(engine, share, say, kept)) for _ in range(FEEDERS)]
        for feeder in feeders:
            feeder.start()
        for feeder in feeders:
            feeder.join()
        while left(engine):
            _pause.wait(0.01)
        done.set()
        keeper.join()


if __name__ == "__main__":
    main()
