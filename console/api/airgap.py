"""``/v1/airgap``: how the link to Redis stands, cutting it by hand, and what its resyncs found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from airgap.view import AirView, air_of
from console import actions
from console.actions.actor import Actor, authorise
from console.api.answers import actor_of, json
from console.api.bodies import body, schema
from console.context import Console
from console.linkrecords import change_as_json, conflict_as_json, row_as_json, view_as_json
from data import queries

#: rows of a page at the most
MOST = 500
_OF_CONFLICT = {404: {"description": "No such conflict"}, 409: {"description": "Decided, or there is nothing to take"}}
_STANDALONE = {409: {"description": "No Redis is configured, or the link is kept cut"}}


class ForceBody(msgspec.Struct, forbid_unknown_fields=True):
    """Why the link is cut by hand; the body may be left out."""

    reason: str = ""


class TakeBackBody(msgspec.Struct, forbid_unknown_fields=True):
    """Whose jobs are taken back."""

    #: id of the agent, as in ``GET /v1/agents``
    agent: str


class ResolveBody(msgspec.Struct, forbid_unknown_fields=True):
    """What becomes of a conflict."""

    #: keep (what stands) or take (what came later)
    choice: str


def router(console: Console) -> APIRouter:
    """Routes for the link."""
    routes = APIRouter(prefix="/v1/airgap", tags=["airgap"])

    @routes.get("")
    async def read(request: Request) -> Response:
        """The state of the link, what Redis has not been given yet, progress, conflicts, the last proof, and the quota."""
        authorise(actor_of(request), "airgap.read")
        return json(await asyncio.to_thread(_told, console))

    @routes.post("/force", responses=_STANDALONE, openapi_extra=schema(ForceBody))
    async def force(request: Request) -> Response:
        """Go airgapped, and stay so over restarts until it is released. Nothing is sent to Redis meanwhile."""
        asked = await body(request, ForceBody)
        return await _done(console, request, lambda actor: actions.force(console, actor, asked.reason))

    @routes.post("/release", responses=_STANDALONE)
    async def release(request: Request) -> Response:
        """Connect again as soon as Redis can be reached."""
        return await _done(console, request, lambda actor: actions.release(console, actor))

    @routes.post("/sync", responses=_STANDALONE)
    async def sync(request: Request) -> Response:
        """Look for Redis now, and give it what it has not, without waiting for the next probe."""
        return await _done(console, request, lambda actor: actions.sync(console, actor))

    @routes.post("/take-back", responses=_STANDALONE, openapi_extra=schema(TakeBackBody))
    async def take_back(request: Request) -> Response:
        """Let others run what a lost agent holds, also in queues that hold it; for one that will not come back."""
        asked = await body(request, TakeBackBody)
        count = await asyncio.to_thread(actions.take_back, console, actor_of(request), asked.agent)
        return json({"agent": asked.agent, "jobs": count})

    @routes.get("/conflicts")
    async def conflicts(
        request: Request,
        open: Annotated[bool, Query(description="only those that nobody has decided")] = False,
        kind: Annotated[str | None, Query(description="result, late, request or unique")] = None,
        queue: str | None = None,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
        cursor: Annotated[str | None, Query(description="the next_cursor of the page before")] = None,
    ) -> Response:
        """What two sides of a partition did that cannot both stand, newest first, with the hashes of both."""
        authorise(actor_of(request), "airgap.read")
        asked = {"open_only": open, "kind": kind, "queue": queue, "limit": limit, "cursor": cursor}
        page = await asyncio.to_thread(lambda: queries.conflicts(console.database, **asked))
        return _page("conflicts", [conflict_as_json(row) for row in page.rows], page.next_cursor)

    @routes.post("/conflicts/{id}/resolve", responses=_OF_CONFLICT, openapi_extra=schema(ResolveBody))
    async def resolve(request: Request, id: str) -> Response:
        """Decide a conflict: keep what stands, or take the result that came later."""
        asked = await body(request, ResolveBody)
        await asyncio.to_thread(actions.resolve, console, actor_of(request), id, asked.choice)
        return json({"id": id, "choice": asked.choice})

    @routes.get("/history")
    async def history(
        request: Request,
        node: str | None = None,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
        cursor: str | None = None,
    ) -> Response:
        """Every state that the link of each node came into, newest first."""
        authorise(actor_of(request), "airgap.read")
        asked = {"node": node, "limit": limit, "cursor": cursor}
        page = await asyncio.to_thread(lambda: queries.link_changes(console.database, **asked))
        return _page("changes", [change_as_json(row) for row in page.rows], page.next_cursor)

    @routes.get("/proofs")
    async def proofs(
        request: Request,
        node: str | None = None,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 20,
        cursor: str | None = None,
    ) -> Response:
        """What both sides counted at the end of each resync, newest first."""
        authorise(actor_of(request), "airgap.read")
        asked = {"node": node, "limit": limit, "cursor": cursor}
        page = await asyncio.to_thread(lambda: queries.proofs(console.database, **asked))
        return _page("proofs", [row_as_json(row) for row in page.rows], page.next_cursor)

    return routes


def _page(name: str, rows: list[dict[str, Any]], cursor: str | None) -> Response:
    return json({name: rows, "next_cursor": cursor})


async def _done(console: Console, request: Request, act: Callable[[Actor], AirView]) -> Response:
    await asyncio.to_thread(act, actor_of(request))
    return json(await asyncio.to_thread(_told, console))


def _told(console: Console) -> dict[str, Any]:
    store = console.engine.store
    told = view_as_json(air_of(store), store.facts(), console.facts.started_at)
    return told | {"conflicts": queries.count_conflicts(console.database)}
