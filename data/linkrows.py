"""What history knows of the link to Redis: conflicts, states, proofs.  Lists are the newest first, in pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, text, true

from data.database import Database
from data.linkshapes import ConflictPage, ConflictRow, LinkPage, LinkRow, ProofLane, ProofPage, ProofRow
from data.linktables import IS_OPEN
from data.linktables import conflicts as table
from data.linktables import link_changes as changes
from data.linktables import proofs as proven
from data.tables import jobs
from engine.kernel.errors import ValidationError

_lane_rows = msgspec.json.Decoder(list[tuple[str, str, int, str, int, str]]).decode
#: (time, name): where a page ended
_Place = tuple[float, str]
_place = msgspec.json.Decoder(_Place).decode


def conflicts(
    db: Database,
    *,
    open_only: bool = False,
    kind: str | None = None,
    queue: str | None = None,
    tenant: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> ConflictPage:
    """Conflicts; ``open_only`` for those that nobody has decided yet."""
    asked = _conflicts(tenant, open_only).order_by(table.c.at.desc(), table.c.id.desc()).limit(limit + 1)
    for column, value in ((table.c.kind, kind), (table.c.queue, queue)):
        if value is not None:
            asked = asked.where(column == value)
    with db.reading() as connection:
        found = connection.execute(asked.where(_after(cursor, table.c.at, table.c.id))).all()
    return ConflictPage(tuple(_conflict(row) for row in found[:limit]), _next(found, limit, "id"))


def conflict(db: Database, id: str, *, tenant: str | None = None) -> ConflictRow | None:
    """One conflict, unless there is none or its job is another tenant's."""
    with db.reading() as connection:
        found = connection.execute(_conflicts(tenant, open_only=False).where(table.c.id == id)).first()
    return None if found is None else _conflict(found)


def count_conflicts(db: Database, *, open_only: bool = True, tenant: str | None = None) -> int:
    """How many conflicts there are."""
    counted = select(func.count()).select_from(table).where(text(IS_OPEN) if open_only else table.c.kind != "")
    if tenant is not None:
        counted = counted.where(exists().where(jobs.c.id == table.c.job, jobs.c.tenant == tenant))
    with db.reading() as connection:
        return int(connection.execute(counted).scalar_one())


def link_changes(
    db: Database, *, node: str | None = None, since: float = 0.0, limit: int = 100, cursor: str | None = None
) -> LinkPage:
    """States that links came into since a time."""
    until = func.lead(changes.c.at).over(partition_by=changes.c.node, order_by=changes.c.at).label("until")
    known = select(changes, until).where(changes.c.at >= since)
    if node is not None:
        known = known.where(changes.c.node == node)
    rows = known.subquery()
    asked = select(rows).where(_after(cursor, rows.c.at, rows.c.node)).order_by(rows.c.at.desc(), rows.c.node.desc())
    with db.reading() as connection:
        found = connection.execute(asked.limit(limit + 1)).all()
    return LinkPage(tuple(_change(row) for row in found[:limit]), _next(found, limit, "node"))


def proofs(db: Database, *, node: str | None = None, limit: int = 20, cursor: str | None = None) -> ProofPage:
    """Ends of resyncs."""
    asked = select(proven).where(_after(cursor, proven.c.at, proven.c.node))
    if node is not None:
        asked = asked.where(proven.c.node == node)
    with db.reading() as connection:
        found = connection.execute(asked.order_by(proven.c.at.desc(), proven.c.node.desc()).limit(limit + 1)).all()
    return ProofPage(tuple(_proof(row) for row in found[:limit]), _next(found, limit, "node"))


def _conflicts(tenant: str | None, open_only: bool) -> Select[Any]:
    asked = select(table, jobs.c.task, jobs.c.tenant, jobs.c.state, jobs.c.result).select_from(
        table.outerjoin(jobs, jobs.c.id == table.c.job)
    )
    asked = asked.where(text(IS_OPEN)) if open_only else asked.where(table.c.kind != "")
    return asked if tenant is None else asked.where(jobs.c.tenant == tenant)


def _conflict(row: Any) -> ConflictRow:
    return ConflictRow(
        id=row.id,
        at=row.at,
        job=row.job,
        queue=row.queue,
        kind=row.kind,
        node=row.node,
        first=row.first,
        later=row.later,
        body=msgspec.Raw(row.body.encode()),
        body_whole=row.whole,
        task=row.task or "",
        tenant=row.tenant or "",
        state=row.state or "",
        result=None if row.result is None else msgspec.Raw(row.result.encode()),
        resolved_at=row.resolved_at,
        choice=row.choice,
        by=row.by,
    )


def _change(row: Any) -> LinkRow:
    return LinkRow(
        at=row.at,
        node=row.node,
        state=row.state,
        reason=row.reason,
        forced=row.forced,
        by=row.by,
        lasted=row.until - row.at if row.until is not None else 0.0,
    )


def _proof(row: Any) -> ProofRow:
    return ProofRow(
        at=row.at,
        node=row.node,
        epoch=row.epoch,
        began_at=row.began_at,
        events=row.events,
        bytes=row.bytes,
        conflicts=row.conflicts,
        rewound=row.rewound,
        equal=row.equal,
        lanes=tuple(ProofLane(*lane) for lane in _lane_rows(row.lanes)),
    )


# --- pages ---


def _after(cursor: str | None, at: ColumnElement[float], name: ColumnElement[str]) -> ColumnElement[bool]:
    """What comes behind a cursor, going back in time.  Raises ``ValidationError``."""
    if not cursor:
        return true()
    try:
        when, which = _place(bytes.fromhex(cursor))
    except (ValueError, msgspec.MsgspecError):
        raise ValidationError(f"cursor: expected the next_cursor of a page, got {cursor[:80]!r}", "cursor") from None
    return or_(at < when, and_(at == when, name < which))


def _next(found: Sequence[Any], limit: int, name: str) -> str | None:
    if len(found) <= limit:
        return None
    last = found[limit - 1]
    return msgspec.json.encode((last.at, getattr(last, name))).hex()
