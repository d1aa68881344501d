"""Lists of jobs: pages by keyset, bounded counts, and all ids that match a filter.

Order is by time of creation, then by number, so that a page can be left in both directions and stays put while jobs are
added.  A cursor is the place between two rows; it holds no filter and no secret.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import CompoundSelect, Connection, Select, func, literal_column, select, tuple_, union, union_all

from data import plans
from data.database import Database
from data.filters import STATES, Filter, Term, Value
from data.plans import Plan
from data.rows import Count, JobRow, Page
from data.tables import jobs
from engine.kernel.errors import ValidationError

#: most rows of a page
MOST = 1_000

ROW_COLUMNS = tuple(
    jobs.c.ended_at.label("finished_at") if name == "finished_at" else jobs.c[name] for name in JobRow.__struct_fields__
)

#: (created_at, n)
_Place = tuple[float, int]


def list_jobs(
    db: Database,
    filter: Filter | None = None,
    *,
    now: float,
    tenant: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
    sort: str = "-id",
) -> Page:
    """A page of jobs, newest first (``-id``) or oldest first (``id``).  ``ValidationError`` on a wrong cursor or limit."""
    if not 1 <= limit <= MOST:
        raise ValidationError(f"limit: expected a number from 1 to {MOST}, got {limit}", "limit")
    if sort not in ("-id", "id"):
        raise ValidationError(f"sort: expected -id (newest first) or id, got {sort[:40]!r}", "sort")
    back, place = _read_cursor(cursor) if cursor else (False, None)
    newest_first = (sort == "-id") != back
    with db.reading() as connection:
        plan = plans.plan(connection, filter, tenant=tenant, now=now)
        places = _places(connection, plan, newest_first, place, limit + 1)
        more, places = len(places) > limit, places[:limit]
        if back:
            places.reverse()
        rows = _rows(connection, [n for _, n in places])
    return Page(rows, *_cursors(places, back, more, came_from=place is not None))


def count_jobs(
    db: Database, filter: Filter | None = None, *, now: float, tenant: str | None = None, cap: int = 10_000
) -> Count:
    """How many jobs match, counted up to ``cap``."""
    with db.reading() as connection:
        return _count(connection, plans.plan(connection, filter, tenant=tenant, now=now), cap)


def count_by_state(
    db: Database, filter: Filter | None = None, *, now: float, tenant: str | None = None, cap: int = 10_000
) -> dict[str, Count]:
    """How many jobs in each state match, each counted up to ``cap``; words on the state itself are left out."""
    others = Filter(tuple(term for term in filter.terms if term.key != "state")) if filter else Filter()
    with db.reading() as connection:
        return {
            state: _count(connection, plans.plan(connection, others & _state_is(state), tenant=tenant, now=now), cap)
            for state in STATES
        }


def jobs_matching(
    db: Database, filter: Filter, *, now: float, tenant: str | None = None, batch: int = 500
) -> Iterator[list[str]]:
    """Ids of all jobs that match, oldest first, in batches; jobs that come to match while it goes on may be left out."""
    place: _Place | None = None
    with db.reading() as connection:
        plan = plans.plan(connection, filter, tenant=tenant, now=now)
    while True:
        with db.reading() as connection:
            places = _places(connection, plan, False, place, batch)
            rows = _rows(connection, [n for _, n in places])
        if rows:
            yield [row.id for row in rows]
        if len(places) < batch:
            return
        place = places[-1]


def jobs_by_id(db: Database, ids: Sequence[str], *, tenant: str | None = None) -> dict[str, JobRow]:
    """The jobs of those ids; unknown ones are left out."""
    found: dict[str, JobRow] = {}
    with db.reading() as connection:
        for start in range(0, len(ids), 500):
            statement = select(*ROW_COLUMNS).where(jobs.c.id.in_(ids[start : start + 500]))
            if tenant is not None:
                statement = statement.where(jobs.c.tenant == tenant)
            found.update((row[0], job_row(row)) for row in connection.execute(statement))
    return found


def recent(db: Database, n: int = 20, *, tenant: str | None = None) -> list[JobRow]:
    """The newest jobs."""
    return list(list_jobs(db, now=0.0, tenant=tenant, limit=n).rows)


def names(db: Database, column: str, *, tenant: str | None = None) -> list[str]:
    """Distinct names in history: ``column`` is queue, task or tenant."""
    if column not in ("queue", "task", "tenant"):
        raise ValueError(f"expected queue, task or tenant, got {column!r}")
    with db.reading() as connection:
        if tenant and column == "tenant":
            return [tenant]
        if tenant:
            return plans.names_of_tenant(connection, column, tenant)
        return plans.names(connection, column)


def job_row(row: Any) -> JobRow:
    """A ``JobRow`` from the columns of ``ROW_COLUMNS``."""
    return JobRow(**dict(zip(JobRow.__struct_fields__, row, strict=True)))


def _state_is(state: str) -> Filter:
    return Filter((Term("state", (Value(state),)),))


def _places(connection: Connection, plan: Plan, newest_first: bool, after: _Place | None, limit: int) -> list[_Place]:
    """The first rows of a plan beyond a place, in order."""
    if not plan.branches:
        return []
    key = tuple_(jobs.c.created_at, jobs.c.n)
    beyond = [] if after is None else [key < tuple_(*after) if newest_first else key > tuple_(*after)]
    selects = [
        _ordered(select(jobs.c.created_at, jobs.c.n).where(*branch, *plan.rest, *beyond), newest_first).limit(limit)
        for branch in plan.branches
    ]
    if len(selects) == 1:
        return [(row[0], row[1]) for row in connection.execute(selects[0])]
    merged = _merged(plan, selects).subquery()
    at, n = merged.c.created_at, merged.c.n
    order = (at.desc(), n.desc()) if newest_first else (at.asc(), n.asc())
    return [(row[0], row[1]) for row in connection.execute(select(at, n).order_by(*order).limit(limit))]


def _ordered(statement: Select[Any], newest_first: bool) -> Select[Any]:
    at, n = jobs.c.created_at, jobs.c.n
    return statement.order_by(*((at.desc(), n.desc()) if newest_first else (at.asc(), n.asc())))


def _merged(plan: Plan, selects: Sequence[Select[Any]]) -> CompoundSelect[Any]:
    inner = [select(one.subquery()) for one in selects]
    return union(*inner) if plan.overlapping else union_all(*inner)


def _count(connection: Connection, plan: Plan, cap: int) -> Count:
    if not plan.branches:
        return Count(0)
    column = jobs.c.n if plan.overlapping else literal_column("1").label("n")
    selects = [select(column).select_from(jobs).where(*branch, *plan.rest).limit(cap + 1) for branch in plan.branches]
    found = _merged(plan, selects).subquery() if len(selects) > 1 else selects[0].subquery()
    bounded = select(literal_column("1")).select_from(found).limit(cap + 1).subquery()
    n = int(connection.execute(select(func.count()).select_from(bounded)).scalar() or 0)
    return Count(min(n, cap), n > cap)


def _rows(connection: Connection, numbers: Sequence[int]) -> tuple[JobRow, ...]:
    """Whole rows in the order of their numbers."""
    if not numbers:
        return ()
    found = {
        row[0]: job_row(row[1:])
        for row in connection.execute(select(jobs.c.n, *ROW_COLUMNS).where(jobs.c.n.in_(numbers)))
    }
    return tuple(found[n] for n in numbers if n in found)


def _cursors(places: Sequence[_Place], back: bool, more: bool, came_from: bool) -> tuple[str | None, str | None]:
    """Next and previous cursor of a page; ``more`` speaks of the direction that was walked."""
    if not places:
        return None, None
    has_next, has_previous = (came_from, more) if back else (more, came_from)
    return (
        _write_cursor(False, places[-1]) if has_next else None,
        _write_cursor(True, places[0]) if has_previous else None,
    )


def _write_cursor(back: bool, place: _Place) -> str:
    text = f"{'p' if back else 'n'} {place[0].hex()} {place[1]}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[bool, _Place]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        way, at, n = text.split(" ")
        place = float.fromhex(at), int(n)
        if way not in ("n", "p") or not math.isfinite(place[0]) or not 0 <= place[1] < 2**63:
            raise ValueError(text)
        return way == "p", place
    except (binascii.Error, ValueError, OverflowError):
        raise ValidationError(
            "cursor: expected one that a page gave as next_cursor; leave it out to begin anew", "cursor"
        ) from None
