"""The audit: who did what, in a chain that shows every later change.

Append-only, kept so by triggers in the database; each row's hash covers its own fields and the hash before it, so that a
row changed, removed from the middle or put in between is found by ``verify``.  Cutting off the end is not, nor is a chain
that somebody has made anew: keep the head (``head``) elsewhere, and ask ``holds`` for it.  Appends take turns, so there is
one chain whoever writes.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, insert, or_, select, text

from data.database import Database
from data.masking import storable
from data.rows import AuditRow
from data.tables import audit
from engine.kernel.clock import SystemClock
from engine.kernel.errors import ValidationError

#: what the first row's hash covers in place of a row before it
GENESIS = "0" * 64
#: characters kept of a target and of a detail
TARGET, DETAIL = 500, 4_000
_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('holdfast audit'))")
_BATCH = 1_000


def append(
    db: Database,
    actor: str,
    action: str,
    target: str = "",
    detail: str = "",
    *,
    at: float | None = None,
    tenant: str = "",
    outcome: str = "ok",
) -> AuditRow:
    """Write one action down, as of ``at`` (default: now); secrets in ``target`` and ``detail`` are masked."""
    with db.writing() as connection:
        if db.path is None:
            connection.execute(_LOCK)
        last = _last(connection)
        n, before = (last["n"], last["hash"]) if last else (0, GENESIS)
        row: dict[str, Any] = {
            "n": n + 1,
            "at": SystemClock().now() if at is None else at,
            "actor": storable(actor, TARGET),
            "action": storable(action, TARGET),
            "target": storable(target, TARGET),
            "tenant": tenant,
            "outcome": storable(outcome, TARGET),
            "detail": storable(detail, DETAIL),
        }
        row["hash"] = chained(before, row)
        connection.execute(insert(audit).values(row))
    return AuditRow(**row)


def verify(db: Database) -> int | None:
    """Number of the first row that is not as it was written, or follows a gap; ``None`` if the chain is whole."""
    n, before = 0, GENESIS
    while True:
        with db.reading() as connection:
            rows = (
                connection.execute(select(audit).where(audit.c.n > n).order_by(audit.c.n).limit(_BATCH))
                .mappings()
                .all()
            )
        for row in rows:
            if row["n"] != n + 1 or row["hash"] != chained(before, row):
                return int(row["n"])
            n, before = row["n"], row["hash"]
        if len(rows) < _BATCH:
            return None


def head(db: Database) -> tuple[int, str]:
    """Number and hash of the last row; keep them elsewhere to notice a cut."""
    with db.reading() as connection:
        last = _last(connection)
    return (int(last["n"]), str(last["hash"])) if last else (0, GENESIS)


def holds(db: Database, n: int, hash: str) -> bool:
    """Whether row ``n`` is still the one that had this hash; a head that was kept elsewhere shows a cut or a new chain."""
    with db.reading() as connection:
        return connection.execute(select(audit.c.hash).where(audit.c.n == n)).scalar() == hash


def page(
    db: Database,
    *,
    limit: int = 50,
    before: int | None = None,
    tenant: str | None = None,
    actor: str = "",
    action: str = "",
    search: str = "",
) -> list[AuditRow]:
    """Actions, newest first, from before row ``before``; ``search`` looks in action, target and detail."""
    if not 1 <= limit <= 1_000:
        raise ValidationError(f"limit: expected a number from 1 to 1000, got {limit}", "limit")
    statement = select(audit).order_by(audit.c.n.desc()).limit(limit)
    for column, value in ((audit.c.tenant, tenant), (audit.c.actor, actor or None), (audit.c.action, action or None)):
        if value is not None:
            statement = statement.where(column == value)
    if before is not None:
        statement = statement.where(audit.c.n < before)
    if search:
        places = (audit.c.action, audit.c.target, audit.c.detail)
        statement = statement.where(or_(*(place.icontains(search, autoescape=True) for place in places)))
    with db.reading() as connection:
        return [AuditRow(**row) for row in connection.execute(statement).mappings()]


def chained(before: str, row: RowMapping | dict[str, Any]) -> str:
    """The hash of a row that follows one with the hash ``before``."""
    names = ("n", "at", "actor", "action", "target", "tenant", "outcome", "detail")
    fields = [repr(row["at"]) if name == "at" else row[name] for name in names]
    return hashlib.sha256(msgspec.json.encode([before, *fields])).hexdigest()


def _last(connection: Connection) -> RowMapping | None:
    return connection.execute(select(audit).order_by(audit.c.n.desc()).limit(1)).mappings().first()
