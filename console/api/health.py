"""Health for machines: is the process alive, can it do its work, how much is there to do, and metrics."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from console.actions.actor import authorise
from console.api.answers import actor_of, json
from console.context import Console
from engine.kernel.clock import iso
from engine.observe.metrics import CONTENT_TYPE

#: seconds that an answer about readiness may take
PATIENCE = 3.0


def router(console: Console) -> APIRouter:
    """Routes for health and metrics."""
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz")
    async def alive() -> Response:
        """200 while the process answers."""
        return json({"status": "ok"})

    @routes.get("/readyz", responses={503: {"description": "Not ready; `checks` says why"}})
    async def ready() -> Response:
        """200 if jobs are accepted and history can be read."""
        try:
            checks = await asyncio.wait_for(asyncio.to_thread(_checks, console), PATIENCE)
        except TimeoutError:
            checks = {"answers": f"not within {PATIENCE:g} s"}
        good = all(text == "ok" for text in checks.values())
        return json({"status": "ready" if good else "not ready", "checks": checks}, 200 if good else 503)

    @routes.get("/queue/health")
    async def queue_health() -> Response:
        """What waits, runs, is done and has failed."""
        return json(await asyncio.to_thread(_queue_health, console))

    @routes.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics(request: Request) -> Response:
        """Prometheus metrics."""
        authorise(actor_of(request), "metrics.read")
        return Response(await asyncio.to_thread(console.metrics.text), media_type=CONTENT_TYPE)

    return routes


def _checks(console: Console) -> dict[str, str]:
    return {
        "engine": "ok" if console.engine.load().slots else "no workers run",
        "store": _store(console),
        "database": _database(console),
    }


def _store(console: Console) -> str:
    facts = console.engine.store.facts()
    return "full" if facts.get("level") == "full" else str(facts.get("trouble") or "ok")


def _database(console: Console) -> str:
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with console.database.reading() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        return f"does not answer ({type(error).__name__})"
    return "ok"


def _queue_health(console: Console) -> dict[str, Any]:
    totals: dict[str, int] = {}
    for counts in console.engine.counts().values():
        for state, number in counts.items():
            totals[state] = totals.get(state, 0) + number
    paused = [info.name for info in console.engine.queues() if info.paused]
    waiting = sum(totals.get(state, 0) for state in ("pending", "scheduled", "available", "retryable"))
    return {
        "status": "healthy" if console.engine.load().slots else "stopped",
        "stats": {
            "waiting": waiting,
            "active": totals.get("running", 0),
            "completed": console.metrics.completed(),
            "failed": totals.get("dead", 0),
        },
        "paused": paused,
        "timestamp": iso(console.engine.clock.now()),
    }
