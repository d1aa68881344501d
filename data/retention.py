"""Removes old history in small batches, each a short transaction, so that nobody waits for it.

Completed and cancelled jobs go when they ended longer ago than is kept; dead ones stay until someone decides (retries or
deletes them); waiting and running ones stay.  Conflicts go once somebody has decided them.  The audit is never pruned here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, Table, delete, exists, select, true

from data.database import Database
from data.tables import agents, attempts, conflicts, jobs, link_changes, logs, minutes, moments, outputs, proofs

DAY = 86_400.0
_GOES = ("completed", "cancelled")


def prune(
    db: Database, now: float, keep_days: float, *, batch: int = 500, queues: Mapping[str, float] | None = None
) -> int:
    """Remove up to ``batch`` jobs that ended more than ``keep_days`` ago; returns how many, 0 when none is left.

    ``queues`` gives queues that keep their jobs for other spans (seconds).  When no job is left to remove, what else is of
    that age goes: sums per minute, agents that stopped, states of the link, proofs, decided conflicts.
    """
    before = now - keep_days * DAY
    with db.writing() as connection:
        numbers = _ended_before(connection, now, before, queues or {}, batch)
        if numbers:
            _remove(connection, numbers)
        else:
            for table, old in _others(before):
                connection.execute(delete(table).where(old))
    return len(numbers)


def has_old(db: Database, now: float, keep_days: float, *, queues: Mapping[str, float] | None = None) -> bool:
    """Whether ``prune`` would find anything to remove."""
    before = now - keep_days * DAY
    with db.reading() as connection:
        return bool(_ended_before(connection, now, before, queues or {}, 1)) or any(
            connection.execute(select(exists().where(old))).scalar_one() for _, old in _others(before)
        )


def _others(before: float) -> list[tuple[Table, ColumnElement[bool]]]:
    """What goes beside the jobs, and which of it."""
    stopped = (agents.c.stopped_at > 0) & (agents.c.stopped_at >= agents.c.started_at) & (agents.c.seen_at < before)
    return [
        (minutes, minutes.c.minute < int(before // 60)),
        (agents, stopped),
        (link_changes, link_changes.c.at < before),
        (proofs, proofs.c.at < before),
        (conflicts, (conflicts.c.resolved_at > 0) & (conflicts.c.resolved_at < before)),
    ]


def _ended_before(
    connection: Connection, now: float, before: float, queues: Mapping[str, float], most: int
) -> list[int]:
    """Numbers of jobs to remove: of queues with a span of their own first, then of the others."""
    spans: list[tuple[ColumnElement[bool], float]] = [
        (jobs.c.queue == name, now - kept) for name, kept in queues.items()
    ]
    spans.append((jobs.c.queue.not_in(list(queues)) if queues else true(), before))
    numbers: list[int] = []
    for whose, limit in spans:
        for state in _GOES:
            old = select(jobs.c.n).where(
                whose, jobs.c.state == state, jobs.c.created_at < limit, jobs.c.ended_at < limit
            )
            numbers += connection.execute(old.order_by(jobs.c.created_at).limit(most - len(numbers))).scalars()
    return numbers


def _remove(connection: Connection, numbers: Sequence[int]) -> None:
    for table in (attempts, logs, outputs, moments):
        connection.execute(delete(table).where(table.c.job.in_(numbers)))
    connection.execute(delete(jobs).where(jobs.c.n.in_(numbers)))
