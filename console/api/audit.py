"""``/v1/audit``: who did what, for administrators."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from console.actions.actor import authorise
from console.api.answers import actor_of, json
from console.context import Console
from data import audit
from engine.kernel.clock import iso

#: entries of a page at the most
MOST = 500


def router(console: Console) -> APIRouter:
    """Routes for the audit."""
    routes = APIRouter(prefix="/v1/audit", tags=["audit"])

    @routes.get("")
    async def page(
        request: Request,
        actor: Annotated[str, Query(description="as written in the entries: ann (console)")] = "",
        action: Annotated[str, Query(description="job.retry, queue.pause, …")] = "",
        tenant: str | None = None,
        q: Annotated[str, Query(description="looked for in action, target and detail")] = "",
        limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
        cursor: Annotated[int | None, Query(ge=1, description="the next_cursor of the page before")] = None,
    ) -> Response:
        """Entries, newest first. Each one's hash covers it and the hash before it."""
        authorise(actor_of(request), "audit.read")
        asked = {"actor": actor, "action": action, "tenant": tenant, "search": q, "before": cursor}
        return json(await asyncio.to_thread(_page, console, limit, asked))

    return routes


def _page(console: Console, limit: int, asked: dict[str, Any]) -> dict[str, Any]:
    rows = audit.page(console.database, limit=limit + 1, **asked)
    shown = rows[:limit]
    return {
        "entries": [msgspec.structs.asdict(row) | {"at": iso(row.at)} for row in shown],
        "next_cursor": shown[-1].n if len(rows) > limit else None,
    }
