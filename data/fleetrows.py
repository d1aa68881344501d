"""Agents and paused queues, as history saw them."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import select

from data import tables
from data.database import Database
from data.rows import AgentRow, PauseRow


def agents(db: Database) -> list[AgentRow]:
    """Engine processes, the one seen last first."""
    table = tables.agents
    with db.reading() as connection:
        found = connection.execute(select(table).order_by(table.c.seen_at.desc())).all()
    return [_agent(row) for row in found]


def _agent(row: Any) -> AgentRow:
    said = _said(row.info)
    return AgentRow(
        agent=row.agent,
        host=row.host,
        pid=row.pid,
        version=row.version,
        first_at=row.first_at,
        started_at=row.started_at,
        seen_at=row.seen_at,
        stopped_at=row.stopped_at if row.stopped_at >= row.started_at else 0.0,
        reason=row.reason if row.stopped_at >= row.started_at else "",
        completed=row.completed,
        failed=row.failed,
        node=said.node,
        fleet=said.fleet,
        name=said.name,
        capabilities=tuple(name for name in said.capabilities.split(",") if name),
        info=msgspec.Raw((row.info or "{}").encode()),
    )


class _Said(msgspec.Struct):
    node: str = ""
    fleet: str = ""
    name: str = ""
    #: with commas between
    capabilities: str = ""


def _said(info: str) -> _Said:
    """What an agent said of itself; a value of another kind than ours says nothing."""
    try:
        return msgspec.json.decode(info or "{}", type=_Said)
    except msgspec.MsgspecError:
        return _Said()


def pauses(db: Database) -> dict[str, PauseRow]:
    """Each queue's last pause or resume."""
    with db.reading() as connection:
        found = connection.execute(select(tables.pauses)).all()
    return {row.queue: PauseRow(row.queue, row.paused, row.at, row.by) for row in found}
