"""Waiting for jobs of an engine that runs its own workers, with a deadline, and telling what kept them."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from engine.engine import Engine
from engine.handle import Handle
from engine.kernel.clock import SystemClock
from engine.kernel.job import TERMINAL, JobView

#: states of jobs that are still on their way
_ON_THE_WAY = ("pending", "scheduled", "available", "running", "retryable")
#: jobs that a message names
_NAMED = 10


def wait_for_jobs(
    engine: Engine, jobs: Iterable[Handle | str] | None = None, timeout: float = 10.0
) -> dict[str, JobView]:
    """Wait until ``jobs`` (all of the engine's if none are given) have ended; their views by id.  ``AssertionError`` after
    ``timeout`` real seconds, naming the jobs that have not, with their state and what they wait for."""
    ids = None if jobs is None else [job if isinstance(job, str) else job.id for job in jobs]
    told = threading.Event()
    unsubscribe = engine.bus.subscribe(lambda events: told.set())
    clock = SystemClock()
    deadline = clock.monotonic() + timeout
    try:
        while not _all_ended(engine, ids):
            left = deadline - clock.monotonic()
            if left <= 0:
                raise AssertionError(_still_waiting(engine, ids, timeout))
            told.wait(min(left, 0.5))
            told.clear()
    finally:
        unsubscribe()
    return engine.views(ids or ())


def _all_ended(engine: Engine, ids: list[str] | None) -> bool:
    if ids is None:
        return not any(counts.get(state) for counts in engine.counts().values() for state in _ON_THE_WAY)
    views = engine.views(ids)
    return all(id_ in views and views[id_].state in TERMINAL for id_ in ids)


def _still_waiting(engine: Engine, ids: list[str] | None, timeout: float) -> str:
    if ids is None:
        counts = {queue: {s: n for s, n in c.items() if n and s in _ON_THE_WAY} for queue, c in engine.counts().items()}
        return f"jobs have not ended within {timeout:g} s: { ({queue: c for queue, c in counts.items() if c}) }"
    views = engine.views(ids)
    open_ids = [id_ for id_ in ids if id_ not in views or views[id_].state not in TERMINAL]
    lines = [_line(engine, id_, views.get(id_)) for id_ in open_ids[:_NAMED]]
    return "\n".join([f"{len(open_ids)} of {len(ids)} jobs have not ended within {timeout:g} s:", *lines])


def _line(engine: Engine, id_: str, view: JobView | None) -> str:
    if view is None:
        return f"  {id_}: unknown"
    why = engine.why_waiting(view)
    return f"  {id_} {view.task}: {view.state}, attempt {view.attempt}{': ' + why.text if why else ''}"
