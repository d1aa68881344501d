"""Giving the fleet the jobs that a node accepted for itself and has not begun.

The decision is on disk, and the jobs are out of the local order, before Redis hears of it (``JobsOffered``): from then on
they run only under a lease of Redis.  Dead letters go too, so that the fleet has one list of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.kernel import events as ev
from engine.kernel.job import Job, JobState
from engine.storage.state import StateStore

#: jobs handed over in one go
STEP = 500


def hand_over(store: StateStore, most: int = STEP) -> int:
    """Offer up to ``most`` of the store's jobs that do not run; returns how many."""
    with store.lock:
        by_queue: dict[str, list[str]] = {}
        for job in _idle(store, most):
            by_queue.setdefault(job.queue, []).append(job.id)
        at = store.clock.now()
        offers = [ev.JobsOffered(at, queue, ids) for queue, ids in by_queue.items()]
        pending = store.move(offers)
    pending.settle()
    return sum(len(offer.ids) for offer in offers)


def _idle(store: StateStore, most: int) -> Iterator[Job]:
    for job in store.fold.jobs.values():
        if job.state != JobState.RUNNING:
            yield job
            most -= 1
            if most <= 0:
                return
