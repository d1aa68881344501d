"""Dead jobs grouped by what killed them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select, text

from data.database import Database
from data.rows import DeadGroup
from data.tables import IS_DEAD, jobs

#: dead jobs named of a group
SAMPLES = 5
#: newest dead jobs of a group whose tasks and queues are named
_LOOKED_AT = 200


def dead_groups(db: Database, *, tenant: str | None = None, limit: int = 200) -> list[DeadGroup]:
    """Dead letters by fingerprint, the group that grew last first."""
    last = func.max(jobs.c.ended_at).label("last_at")
    statement = (
        select(jobs.c.fingerprint, func.count().label("n"), func.min(jobs.c.ended_at).label("first_at"), last)
        .where(text(IS_DEAD))
        .group_by(jobs.c.fingerprint)
        .order_by(last.desc())
        .limit(limit)
    )
    if tenant is not None:
        statement = statement.where(jobs.c.tenant == tenant)
    with db.reading() as connection:
        return [_group(connection, tenant, *row) for row in connection.execute(statement).all()]


def _group(
    connection: Connection, tenant: str | None, fingerprint: str, n: int, first_at: float, last_at: float
) -> DeadGroup:
    columns = (jobs.c.id, jobs.c.task, jobs.c.queue, jobs.c.error_type, jobs.c.error_message)
    statement = select(*columns).where(text(IS_DEAD), jobs.c.fingerprint == fingerprint)
    if tenant is not None:
        statement = statement.where(jobs.c.tenant == tenant)
    newest = connection.execute(statement.order_by(jobs.c.ended_at.desc()).limit(_LOOKED_AT)).all()
    return DeadGroup(
        fingerprint=fingerprint,
        type=newest[0].error_type,
        message=newest[0].error_message,
        tasks=_distinct([row.task for row in newest]),
        queues=_distinct([row.queue for row in newest]),
        n=n,
        first_at=first_at,
        last_at=last_at,
        sample_ids=tuple(row.id for row in newest[:SAMPLES]),
    )


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
