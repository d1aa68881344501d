"""``/v1/keys`` and ``/v1/tokens``: the store's data key, and who may come in."""

from __future__ import annotations

import asyncio

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from console import actions
from console.actions.actor import authorise
from console.api.answers import actor_of, json
from console.api.bodies import body, schema
from console.context import Console
from engine.kernel.clock import iso


class TokenBody(msgspec.Struct, forbid_unknown_fields=True):
    """A token to be made."""

    name: str
    #: viewer, operator or admin
    role: str
    #: limits it to one tenant's jobs
    tenant: str | None = None


def router(console: Console) -> APIRouter:
    """Routes for keys and tokens."""
    routes = APIRouter(prefix="/v1", tags=["access"])

    @routes.post("/keys/rotate")
    async def rotate(request: Request) -> Response:
        """Seal the store with a new key from now on; older entries are sealed anew in the background."""
        return json({"key": await asyncio.to_thread(actions.rotate_keys, console, actor_of(request))})

    @routes.get("/tokens")
    async def tokens(request: Request) -> Response:
        """All tokens by name, without what they open with."""
        authorise(actor_of(request), "access.manage")
        found = [
            {"name": token.name, "role": token.role, "tenant": token.tenant, "created_at": iso(token.created_at)}
            for token in console.access.tokens.list()
        ]
        return json({"tokens": found})

    @routes.post("/tokens", status_code=201, openapi_extra=schema(TokenBody))
    async def create(request: Request) -> Response:
        """Make a token. It is told once, in this answer."""
        asked = await body(request, TokenBody)
        work = (actions.create_token, console, actor_of(request), asked.name, asked.role, asked.tenant)
        return json({"name": asked.name, "token": await asyncio.to_thread(*work)}, 201)

    @routes.delete("/tokens/{name}", status_code=204)
    async def revoke(request: Request, name: str) -> Response:
        """Make a token worthless at once."""
        await asyncio.to_thread(actions.revoke_token, console, actor_of(request), name)
        return Response(status_code=204)

    return routes
