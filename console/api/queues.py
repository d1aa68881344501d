"""``/v1/queues``: what waits where, pause and resume, limits."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from console import actions, reading
from console.api.answers import actor_of, json, reader_of
from console.api.bodies import LimitsBody, body, schema
from console.context import Console
from console.records import queue_as_json
from engine.kernel.errors import NotFound

_OF_ONE = {404: {"description": "No such queue"}}


def router(console: Console) -> APIRouter:
    """Routes for queues."""
    routes = APIRouter(prefix="/v1/queues", tags=["queues"])

    @routes.get("")
    async def list_queues(request: Request) -> Response:
        """All queues with what waits and runs in them."""
        found = await asyncio.to_thread(reading.queues, console, tenant=reader_of(request))
        return json({"queues": [queue_as_json(queue) for queue in found]})

    @routes.get("/{queue}", responses=_OF_ONE)
    async def get(request: Request, queue: str) -> Response:
        """One queue."""
        return json(await asyncio.to_thread(_read, console, queue, reader_of(request)))

    @routes.post("/{queue}/pause", responses=_OF_ONE)
    async def pause(request: Request, queue: str) -> Response:
        """Start no more jobs of the queue; running ones end."""
        actor = actor_of(request)
        await asyncio.to_thread(actions.pause, console, actor, queue)
        return json(await asyncio.to_thread(_read, console, queue, None))

    @routes.post("/{queue}/resume", responses=_OF_ONE)
    async def resume(request: Request, queue: str) -> Response:
        """Let the queue go on."""
        actor = actor_of(request)
        await asyncio.to_thread(actions.resume, console, actor, queue)
        return json(await asyncio.to_thread(_read, console, queue, None))

    @routes.patch("/{queue}", responses=_OF_ONE, openapi_extra=schema(LimitsBody))
    async def limit(request: Request, queue: str) -> Response:
        """Change concurrency, rate limit or priority until the process ends; the configuration decides at its next start."""
        asked = await body(request, LimitsBody)
        limits = {name: value for name, value in msgspec.structs.asdict(asked).items() if value is not msgspec.UNSET}
        await asyncio.to_thread(actions.set_limits, console, actor_of(request), queue, limits)
        return json(await asyncio.to_thread(_read, console, queue, None))

    return routes


def _read(console: Console, name: str, tenant: str | None) -> dict[str, Any]:
    for queue in reading.queues(console, tenant=tenant):
        if queue.name == name:
            return queue_as_json(queue)
    raise NotFound(f"there is no queue {name:.60}")
