"""``/v1/stats``: what history adds up to, as JSON or, if the client accepts ``text/csv``, as a table."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from console.api.answers import reader_of, table
from console.context import Console
from data import filters, queries
from engine.kernel.clock import iso
from engine.kernel.errors import ValidationError

#: buckets in one answer at the most
MOST_BUCKETS = 1_500

OUTCOMES = ("completed", "retried", "failed", "cancelled", "enqueued")
_CSV = {200: {"content": {"text/csv": {}}}}

Since = Annotated[str, Query(description="1h, 30m, 7d, or a time")]


def router(console: Console) -> APIRouter:
    """Routes for statistics."""
    routes = APIRouter(prefix="/v1/stats", tags=["statistics"], responses=_CSV)

    @routes.get("/jobs")
    async def jobs(
        request: Request,
        since: Since = "1h",
        until: str = "",
        step: Annotated[int, Query(ge=60, le=86_400, description="seconds of a bucket")] = 60,
        queue: str | None = None,
        task: str | None = None,
        tenant: str | None = None,
    ) -> Response:
        """Jobs finished per bucket by outcome, their sums, and run and wait times."""
        scope = {"queue": queue or None, "task": task or None, "tenant": reader_of(request, tenant)}
        answer = await asyncio.to_thread(_jobs, console, since, until, step, scope)
        return table(request, answer, answer["buckets"], ("at", *OUTCOMES))

    @routes.get("/queues")
    async def queue_stats(request: Request, since: Since = "1h", tenant: str | None = None) -> Response:
        """How each queue has done."""
        answer = await asyncio.to_thread(_queues, console, since, reader_of(request, tenant))
        columns = ("queue", "per_minute", "failed", "run_p95", "wait_p95", "series")
        return table(request, answer, answer["queues"], columns)

    @routes.get("/failures")
    async def failures(request: Request, tenant: str | None = None) -> Response:
        """Dead jobs, grouped by their cause."""
        groups = await asyncio.to_thread(_failures, console, reader_of(request, tenant))
        columns = ("fingerprint", "type", "message", "tasks", "queues", "n", "first_at", "last_at", "sample_ids")
        return table(request, {"groups": groups}, groups, columns)

    return routes


def _jobs(console: Console, since: str, until: str, step: int, scope: dict[str, str | None]) -> dict[str, Any]:
    now = console.engine.clock.now()
    begin, end = filters.moment(since, now), filters.moment(until, now) if until else now
    if not begin < end or (end - begin) / step > MOST_BUCKETS:
        raise ValidationError(f"since: expected 1 to {MOST_BUCKETS} buckets of {step} s before until", "since")
    buckets = queries.throughput(console.database, begin, end, step=step, **scope)
    latency = queries.latency(console.database, begin, end, **scope)
    return {
        "since": iso(begin),
        "until": iso(end),
        "step": step,
        "buckets": [msgspec.structs.asdict(bucket) | {"at": iso(bucket.at)} for bucket in buckets],
        "totals": {name: sum(getattr(bucket, name) for bucket in buckets) for name in OUTCOMES},
        "latency": msgspec.structs.asdict(latency),
    }


def _queues(console: Console, since: str, tenant: str | None) -> dict[str, Any]:
    now = console.engine.clock.now()
    begin = filters.moment(since, now)
    if begin >= now:
        raise ValidationError("since: expected a time before now", "since")
    rows = queries.queue_stats(console.database, begin, now, tenant=tenant)
    return {"since": iso(begin), "queues": [msgspec.structs.asdict(row) for row in rows]}


def _failures(console: Console, tenant: str | None) -> list[dict[str, Any]]:
    groups = queries.dead_groups(console.database, tenant=tenant)
    return [
        msgspec.structs.asdict(group) | {"first_at": iso(group.first_at), "last_at": iso(group.last_at)}
        for group in groups
    ]
