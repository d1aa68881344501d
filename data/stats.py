"""Figures over time, all from the sums per minute: no page counts jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, func, select, text

from data.database import Database
from data.histogram import Histogram, loads, merged, percentile
from data.marks import TURN
from data.rows import Bucket, Figure, Latency, Overview, QueueStats
from data.tables import IS_DEAD, jobs, marks, minutes

HOUR = 3600.0
#: outcome in the table -> field of a ``Bucket``
_FIELDS = {
    "completed": "completed",
    "retried": "retried",
    "dead": "failed",
    "cancelled": "cancelled",
    "enqueued": "enqueued",
}
#: outcomes that end a job
_FINISHED = frozenset({"completed", "dead", "cancelled"})
_FAILED = frozenset({"retried", "dead"})
_TRIED = frozenset({"completed", "retried", "dead"})
#: minutes in a queue's little curve, and in one point of an overview's
SERIES, STEP = 24, 2
#: available jobs looked at for the oldest wait, oldest first
_OLDEST = 2_000


def throughput(
    db: Database,
    since: float,
    until: float,
    *,
    step: int = 60,
    queue: str | None = None,
    task: str | None = None,
    tenant: str | None = None,
) -> list[Bucket]:
    """What ended in each ``step`` seconds (whole minutes) from ``since`` to ``until``, with empty ones in between."""
    width = max(1, step // 60)
    slot = (minutes.c.minute - minutes.c.minute % width).label("slot")
    statement = select(slot, minutes.c.outcome, func.sum(minutes.c.n)).group_by(slot, minutes.c.outcome)
    first = int(since // 60) // width * width
    sums: dict[int, dict[str, int]] = {at: {} for at in range(first, int(-(-until // 60)), width)}
    with db.reading() as connection:
        found = connection.execute(statement.where(*_among(first * 60.0, until, queue, task, tenant)))
        for at, outcome, n in found:
            if outcome in _FIELDS and at in sums:
                sums[at][_FIELDS[outcome]] = int(n)
    return [Bucket(at=at * 60.0, **counts) for at, counts in sums.items()]


def latency(
    db: Database,
    since: float,
    until: float | None = None,
    *,
    queue: str | None = None,
    task: str | None = None,
    tenant: str | None = None,
) -> Latency:
    """Median and 95th percentile of run and wait."""
    with db.reading() as connection:
        found = connection.execute(
            select(minutes.c.runs, minutes.c.waits).where(*_among(since, until, queue, task, tenant))
        ).all()
    runs, waits = merged(loads(row[0]) for row in found), merged(loads(row[1]) for row in found)
    return Latency(
        percentile(runs, 0.5),
        percentile(runs, 0.95),
        percentile(waits, 0.5),
        percentile(waits, 0.95),
        sum(waits.values()),
    )


def queue_stats(db: Database, since: float, now: float, *, tenant: str | None = None) -> list[QueueStats]:
    """How each queue that did anything since then has done, by name."""
    first = int(now // 60) - SERIES + 1
    columns = (minutes.c.queue, minutes.c.minute, minutes.c.outcome, minutes.c.n, minutes.c.runs, minutes.c.waits)
    with db.reading() as connection:
        found = connection.execute(
            select(*columns).where(*_among(min(since, first * 60.0), now, None, None, tenant))
        ).all()
    by_queue: dict[str, list[Any]] = {}
    for row in found:
        by_queue.setdefault(row.queue, []).append(row)
    return [_queue(name, by_queue[name], since, now, first) for name in sorted(by_queue)]


def overview(db: Database, now: float, *, tenant: str | None = None) -> Overview:
    """The figures of the first page: the last hour against the hour before."""
    columns = (minutes.c.minute, minutes.c.outcome, minutes.c.n, minutes.c.runs, minutes.c.waits)
    with db.reading() as connection:
        found = connection.execute(select(*columns).where(*_among(now - 2 * HOUR, now, None, None, tenant))).all()
        oldest, dead, recorded_at = _standing(connection, now, tenant)
    middle, end = int((now - HOUR) // 60), int(now // 60)
    before = [row for row in found if middle - 60 < row.minute <= middle]
    hour = [row for row in found if middle < row.minute <= end]
    points = [[row for row in hour if at < row.minute <= at + STEP] for at in range(middle, end, STEP)]
    return Overview(
        jobs_per_minute=Figure(_rate(hour, 60), _rate(before, 60), tuple(_rate(point, STEP) for point in points)),
        failure_rate=_figure(_failure_rate, hour, before, points),
        run_p95=_figure(_run_p95, hour, before, points),
        wait_p95=_figure(_wait_p95, hour, before, points),
        oldest_wait=oldest,
        dead=dead,
        recorded_at=recorded_at,
    )


def recorded(db: Database, name: str | None = None) -> tuple[int, float]:
    """How far the journal of a node (``None``: the one recorded last) is in history: number of its last segment, wall time
    of the last event; zeros before the first."""
    whose = marks.c.name != TURN if name is None else marks.c.name == name
    with db.reading() as connection:
        found = select(marks.c.position, marks.c.at).where(whose).order_by(marks.c.at.desc()).limit(1)
        row = connection.execute(found).first()
    return (int(row[0]), float(row[1])) if row else (0, 0.0)


def _among(since: float, until: float | None, queue: str | None, task: str | None, tenant: str | None) -> Iterator[Any]:
    yield minutes.c.minute >= int(since // 60)
    if until is not None:
        yield minutes.c.minute <= int(until // 60)
    for column, value in ((minutes.c.queue, queue), (minutes.c.task, task), (minutes.c.tenant, tenant)):
        if value is not None:
            yield column == value


def _queue(name: str, rows: Sequence[Any], since: float, now: float, first: int) -> QueueStats:
    lately = [row for row in rows if row.minute >= int(since // 60)]
    series = [0] * SERIES
    for row in rows:
        if row.outcome in _FINISHED and first <= row.minute < first + SERIES:
            series[row.minute - first] += row.n
    return QueueStats(
        queue=name,
        per_minute=_count(lately, _FINISHED) / max(1.0, (now - since) / 60),
        failed=_count(lately, frozenset({"dead"})),
        run_p95=_run_p95(lately),
        wait_p95=_wait_p95(lately),
        series=tuple(series),
    )


def _standing(connection: Connection, now: float, tenant: str | None) -> tuple[float | None, int, float]:
    """Oldest wait, number of dead jobs, time of the last recorded event."""
    own = [] if tenant is None else [jobs.c.tenant == tenant]
    waiting = (
        select(jobs.c.available_at).where(jobs.c.state == "available", *own).order_by(jobs.c.created_at).limit(_OLDEST)
    )
    since = connection.execute(select(func.min(waiting.subquery().c.available_at))).scalar()
    dead = connection.execute(select(func.count()).select_from(jobs).where(text(IS_DEAD), *own)).scalar()
    recorded_at = connection.execute(select(func.max(marks.c.at))).scalar()
    return (None if since is None else max(0.0, now - since)), int(dead or 0), float(recorded_at or 0.0)


def _figure(measure: Any, hour: Sequence[Any], before: Sequence[Any], points: Iterable[Sequence[Any]]) -> Figure:
    return Figure(measure(hour), measure(before), tuple(measure(point) for point in points))


def _count(rows: Iterable[Any], outcomes: frozenset[str]) -> int:
    return sum(row.n for row in rows if row.outcome in outcomes)


def _rate(rows: Sequence[Any], span: int) -> float:
    return _count(rows, _FINISHED) / span


def _failure_rate(rows: Sequence[Any]) -> float | None:
    tried = _count(rows, _TRIED)
    return _count(rows, _FAILED) / tried if tried else None


def _run_p95(rows: Sequence[Any]) -> float | None:
    return percentile(_sum(row.runs for row in rows), 0.95)


def _wait_p95(rows: Sequence[Any]) -> float | None:
    return percentile(_sum(row.waits for row in rows), 0.95)


def _sum(texts: Iterable[str]) -> Histogram:
    return merged(loads(text) for text in texts if text != "{}")
