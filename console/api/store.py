"""``/v1/store``: how the sealed store stands, and what it has set aside."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from console import actions
from console.actions.actor import authorise
from console.api.answers import actor_of, json
from console.context import Console
from engine.kernel.clock import iso


def router(console: Console) -> APIRouter:
    """Routes for the store."""
    routes = APIRouter(prefix="/v1/store", tags=["store"])

    @routes.get("")
    async def facts(request: Request) -> Response:
        """How full it is, what keeps it from being written, where its log ends, its keys, and what was set aside."""
        authorise(actor_of(request), "store.read")
        return json(await asyncio.to_thread(_facts, console))

    @routes.post("/quarantine/acknowledge")
    async def acknowledge(request: Request) -> Response:
        """Say that all entries set aside were looked at. They are kept, and need no attention any more."""
        return json({"acknowledged": await asyncio.to_thread(actions.acknowledge, console, actor_of(request))})

    return routes


def _facts(console: Console) -> dict[str, Any]:
    facts: dict[str, Any] = dict(console.engine.store.facts())
    if "quarantined" in facts:
        facts["quarantined"] = [item | {"at": iso(item["at"])} for item in facts["quarantined"]]
        facts["checkpoint_at"] = iso(facts["checkpoint_at"])
    return facts
