"""All that history knows of one job: its row, wide values, attempts, logs, outputs and the timeline made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, select

from data.attempts import CLAIMED, RUNNING
from data.database import Database
from data.joblists import ROW_COLUMNS, job_row
from data.rows import AttemptRow, FailureRow, JobDetail, JobRow, LogRow, Moment, OutputRow
from data.tables import attempts, jobs, logs, moments, outputs
from engine.kernel.events import POISON
from engine.kernel.job import JobState

_WIDE = (
    jobs.c.n,
    jobs.c.args,
    jobs.c.metadata,
    jobs.c.result,
    jobs.c.expires_at,
    jobs.c.unique_key,
    jobs.c.needs,
    jobs.c.note,
    jobs.c.token,
)
#: why an attempt counts as rescued of which nobody told
FORGOTTEN = "its lease was forgotten; what became of it is not known"
_ENDED_BY_HAND = frozenset({JobState.CANCELLED.value, JobState.DEAD.value})


def job(db: Database, id: str, *, tenant: str | None = None) -> JobDetail | None:
    """The job of that id, unless there is none or it is another tenant's."""
    statement = select(*_WIDE, *ROW_COLUMNS).where(jobs.c.id == id)
    if tenant is not None:
        statement = statement.where(jobs.c.tenant == tenant)
    with db.reading() as connection:
        found = connection.execute(statement).first()
        return None if found is None else _detail(connection, found)


def _detail(connection: Connection, found: Any) -> JobDetail:
    n, args, metadata, result, expires_at, unique_key, needs, note, token = found[: len(_WIDE)]
    row = job_row(found[len(_WIDE) :])
    holds = token if row.state == RUNNING else None
    tried = tuple(_attempt(one, holds) for one in _of(connection, attempts, n) if one.state != CLAIMED)
    tried = tuple(sorted(tried, key=lambda attempt: attempt.started_at or attempt.ended_at))
    said = [Moment(one.at, one.kind, one.text) for one in _of(connection, moments, n)]
    return JobDetail(
        row=row,
        args=msgspec.Raw(args.encode()),
        metadata=msgspec.Raw(metadata.encode()),
        result=None if result is None else msgspec.Raw(result.encode()),
        error=_error(row, tried),
        expires_at=expires_at,
        unique_key=unique_key,
        needs=tuple(name for name in needs.split(",") if name),
        note=note,
        attempts=tried,
        logs=tuple(LogRow(one.at, one.level, one.text, one.attempt) for one in _of(connection, logs, n)),
        outputs=tuple(
            OutputRow(one.name, one.at, one.attempt, msgspec.Raw(one.value.encode()))
            for one in _of(connection, outputs, n)
        ),
        timeline=tuple(sorted((*_timeline(row, tried), *said), key=lambda moment: moment.at)),
    )


def _of(connection: Connection, table: Table, n: int) -> Iterable[Any]:
    return connection.execute(select(table).where(table.c.job == n).order_by(*table.primary_key.columns))


def _attempt(row: Any, holds: int | None) -> AttemptRow:
    """An attempt.  One that is not known to have ended, and whose lease the job does not hold any more, was taken back, though
    nobody told: a Redis that forgot the lease knows of nobody to rescue."""
    gone = row.state == RUNNING and row.token != holds
    failed = row.error_type or row.error_message
    return AttemptRow(
        number=row.number,
        state="rescued" if gone else row.state,
        agent=row.agent,
        worker=row.worker,
        available_at=row.available_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        cpu=row.cpu,
        memory=row.memory,
        rescued=gone or row.state == "rescued" or row.reason == POISON,
        next_at=row.run_at,
        reason=FORGOTTEN if gone else row.reason,
        error=FailureRow(row.error_type, row.error_message, row.traceback, row.fingerprint) if failed else None,
    )


def _error(row: JobRow, tried: tuple[AttemptRow, ...]) -> FailureRow | None:
    """The latest failure, with the traceback that its attempt has."""
    if not row.error_type and not row.error_message:
        return None
    last = next((attempt.error for attempt in reversed(tried) if attempt.error is not None), None)
    traceback = last.traceback if last is not None and last.type == row.error_type else ""
    return FailureRow(row.error_type, row.error_message, traceback, row.fingerprint)


def _timeline(row: JobRow, tried: tuple[AttemptRow, ...]) -> Iterator[Moment]:
    yield Moment(row.created_at, "created")
    for attempt in tried:
        if attempt.available_at > row.created_at:
            yield Moment(attempt.available_at, "available", attempt=attempt.number)
        if attempt.started_at:
            yield Moment(attempt.started_at, "started", attempt.worker, attempt.number)
        if attempt.ended_at:
            text = f"{attempt.error.type}: {attempt.error.message}"[:200] if attempt.error else attempt.reason
            yield Moment(attempt.ended_at, attempt.state, text, attempt.number)
    if row.state in _ENDED_BY_HAND and all(attempt.ended_at != row.finished_at for attempt in tried):
        yield Moment(row.finished_at, row.state, row.reason or row.error_message)
