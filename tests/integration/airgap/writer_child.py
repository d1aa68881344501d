"""A process that works on a store and says over its output what was acknowledged, until it is killed.

``python -m tests.integration.airgap.writer_child HOME DURABILITY [FAULT]``
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from airgap import JournalStore, open_journal
from engine.kernel import faults
from engine.kernel.bus import Bus
from engine.kernel.clock import SystemClock
from engine.kernel.events import JobCompleted, JobEnqueued
from engine.kernel.job import new_id
from engine.kernel.settings import Settings
from engine.storage.base import Want

_out = threading.Lock()


def say(word: str, ids: list[str]) -> None:
    """One line for the parent; a line is whole or was never said."""
    with _out:
        sys.stdout.write("".join(f"{word} {id_}\n" for id_ in ids))
        sys.stdout.flush()


def enqueue(store: JournalStore, clock: SystemClock) -> None:
    """Accept jobs without end, one to five at a time."""
    size = 1
    while True:
        jobs = [JobEnqueued(clock.now(), new_id(), "mail", "send", b"{}") for _ in range(size)]
        store.put(jobs)
        say("accepted", [job.id for job in jobs])
        size = size % 5 + 1


def work(store: JournalStore, clock: SystemClock) -> None:
    """Finish a part of what is there, without end."""
    while True:
        claim = store.claim(Want({"mail": 4}, "agent", 4))
        if claim is None:
            store.wait(0.05)
            continue
        ends = [JobCompleted(clock.now(), job.id, claim.token, job.attempt, "agent/1") for job in claim.jobs[::2]]
        store.finish(ends)
        say("finished", [end.id for end in ends])


def housekeep(store: JournalStore) -> None:
    """Checkpoints, trimming and new keys, one after the other, without end."""
    while True:
        store.keeper.checkpoint()
        while store.keeper.trim(4e9):
            pass
        store.rotate_keys()
        while store.keeper.reseal_some():
            pass


def main(home: str, durability: str, fault: str = "") -> None:
    clock = SystemClock()
    store = open_journal(Settings(home=Path(home), durability=durability), clock, Bus())
    store.open()
    faults.arm_from(fault)
    for role in (enqueue, enqueue, work):
        threading.Thread(target=role, args=(store, clock), daemon=True).start()
    housekeep(store)


if __name__ == "__main__":
    main(*sys.argv[1:])
