"""What is read: jobs, queues and counts, as pages and REST show them.

History lags behind the engine by a fraction of a second, so whatever the engine still knows is laid over what history
says: a job that was just accepted is found, one that just ended has ended, and nothing goes back in time.  Secrets are
masked the same way in both.  All functions may touch the disk: call them with ``asyncio.to_thread`` from the event loop.
``tenant`` limits what is seen; ``None`` is everything.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from console import overlay
from console.records import Job, Page, Queue, as_json
from data import filters, queries
from data.filters import Filter, Term, Value
from data.rows import JobDetail
from engine.kernel.job import TERMINAL, JobState, JobView

if TYPE_CHECKING:
    from console.context import Console
    from engine import RunningJob

__all__ = ["Job", "Page", "Queue", "as_json", "count_by_state", "job", "jobs", "matching", "queues", "tenants"]

#: how often, and how many times, to look again for the history of a job that ended a moment ago
RECHECK, RECHECKS = 0.02, 12

_pause = threading.Event()

#: the filter language, or what ``filters.build`` makes of single fields
Query = str | Filter


def job(console: Console, id: str, *, tenant: str | None = None) -> Job | None:
    """One job with all that is known of it; ``None`` if there is none that the tenant may see."""
    if id in console.forgotten:
        return None
    detail = queries.job(console.database, id, tenant=tenant)
    view = console.engine.views([id]).get(id)
    if view is not None and tenant is not None and view.tenant != tenant:
        return None
    if detail is None and view is not None and view.state in TERMINAL:
        detail = _history_soon(console, id)
    if view is None:
        return overlay.from_history(detail) if detail else None
    present = _present(console, id) if view.state == JobState.RUNNING else None
    found = overlay.laid_over(detail, view, present)
    return overlay.explained(found, console.engine.why_waiting(view)) if view.state in _WAITING else found


_WAITING = frozenset({JobState.PENDING, JobState.SCHEDULED, JobState.AVAILABLE, JobState.RETRYABLE})


def _present(console: Console, id: str) -> RunningJob | None:
    """The attempt that runs in this process now: its start is known before it is in the log."""
    return next((running for running in console.engine.load().running if running.id == id), None)


def _history_soon(console: Console, id: str) -> JobDetail | None:
    """The history of a job that ended just now: the recorder is on its way."""
    recorder = console.facts.recorder()
    on_its_way = recorder.running and recorder.lag < RECHECK * RECHECKS
    for _ in range(RECHECKS if on_its_way else 0):
        _pause.wait(RECHECK)
        detail = queries.job(console.database, id)
        if detail is not None:
            return detail
    return None


def jobs(
    console: Console, query: Query = "", *, limit: int = 50, cursor: str | None = None, tenant: str | None = None
) -> Page:
    """A page of jobs that match ``query`` (the filter language), newest first.  ``ValidationError`` names a wrong word."""
    now = console.engine.clock.now()
    wanted = _filter(query)
    page = queries.list_jobs(console.database, wanted, now=now, tenant=tenant, limit=limit, cursor=cursor)
    views = _live(console, [row.id for row in page.rows if row.state not in TERMINAL or row.state == JobState.DEAD])
    found = [overlay.line(row, views.get(row.id)) for row in page.rows if row.id not in console.forgotten]
    return Page(tuple(found), page.next_cursor, page.previous_cursor)


def _live(console: Console, ids: list[str]) -> dict[str, JobView]:
    return console.engine.views(ids) if ids else {}


def count_by_state(console: Console, query: Query = "", *, tenant: str | None = None) -> dict[str, int]:
    """Jobs per state that match ``query``, for the chips above the table; counting stops at 100,000."""
    now = console.engine.clock.now()
    counts = queries.count_by_state(console.database, _filter(query), now=now, tenant=tenant)
    return {state: count.n for state, count in counts.items()}


def matching(console: Console, query: Query, *, tenant: str | None = None, batch: int = 500) -> Iterator[list[str]]:
    """Ids of all jobs that match, in batches."""
    now = console.engine.clock.now()
    for ids in queries.jobs_matching(console.database, _filter(query), now=now, tenant=tenant, batch=batch):
        left = [id for id in ids if id not in console.forgotten]
        if left:
            yield left


def _filter(query: Query) -> Filter:
    return filters.parse(query) if isinstance(query, str) else query


def queues(console: Console, *, tenant: str | None = None) -> list[Queue]:
    """All queues with what waits and runs in them; a tenant sees its own share of the counts."""
    infos = console.engine.queues()
    counts = {info.name: dict(info.counts) for info in infos} if tenant is None else _shares(console, tenant)
    return [
        Queue(info.name, info.paused, info.concurrency, info.rate_limit, info.priority, counts.get(info.name, {}))
        for info in infos
    ]


def _shares(console: Console, tenant: str) -> dict[str, dict[str, int]]:
    """queue -> state -> jobs of one tenant, from history."""
    now = console.engine.clock.now()
    shares: dict[str, dict[str, int]] = {}
    for name in queries.names(console.database, "queue", tenant=tenant):
        wanted = Filter((Term("queue", (Value(name),)),))
        counts = queries.count_by_state(console.database, wanted, now=now, tenant=tenant)
        shares[name] = {state: count.n for state, count in counts.items()}
    return shares


def tenants(console: Console, ids: Iterable[str]) -> dict[str, str]:
    """Whose each job is; unknown ids are left out."""
    asked = [id for id in ids if id not in console.forgotten]
    owners = {id: view.tenant for id, view in _live(console, asked).items()}
    rest = [id for id in asked if id not in owners]
    if rest:
        owners |= {id: row.tenant for id, row in queries.jobs(console.database, rest).items()}
    return owners
