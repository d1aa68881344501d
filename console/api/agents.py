"""``/v1/agents``: who is in the fleet, how they are, telling them what to do, sending them messages."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from console import actions
from console.api.answers import actor_of, json
from console.api.bodies import body, check_values, schema
from console.context import Console
from console.fleetrecords import agent_as_json, sent_as_json

_OF_ONE: dict[int | str, dict[str, Any]] = {404: {"description": "No such agent"}}
_SAID: dict[int | str, dict[str, Any]] = _OF_ONE | {503: {"description": "Redis cannot be reached"}}


class ScaleBody(msgspec.Struct, forbid_unknown_fields=True):
    """How many jobs an agent runs at the same time from now on, until its next start."""

    concurrency: int


class NoticeBody(msgspec.Struct, forbid_unknown_fields=True):
    """A message to one agent."""

    text: str
    #: 1 (first) to 10; when a box is full, the least important goes
    priority: int = 5
    #: seconds that it waits for an agent that is away, at most 7 days
    ttl: float = 3600.0
    #: anything that those who listen understand
    data: dict[str, Any] = {}


class BroadcastBody(NoticeBody, forbid_unknown_fields=True):
    """A message to many."""

    #: another fleet on the same Redis; left out, this one
    fleet: str = ""
    #: only to agents that have it
    capability: str = ""


def router(console: Console) -> APIRouter:
    """Routes for agents."""
    routes = APIRouter(prefix="/v1/agents", tags=["agents"])

    @routes.get("")
    async def list_agents(request: Request) -> Response:
        """All agents of the fleet; those that stopped or were lost stay for a day."""
        found = await asyncio.to_thread(actions.list_agents, console, actor_of(request))
        return json({"fleet": console.engine.fleet.name, "agents": [agent_as_json(agent) for agent in found]})

    @routes.post("/broadcast", openapi_extra=schema(BroadcastBody), responses={503: _SAID[503]})
    async def broadcast(request: Request) -> Response:
        """Send a message to all agents, or to those with a capability; who is away hears it when back, in time."""
        asked = await body(request, BroadcastBody)
        check_values(asked.data, "data", 1)
        work = (actions.broadcast, console, actor_of(request))
        return json(sent_as_json(await asyncio.to_thread(*work, **msgspec.structs.asdict(asked))))

    @routes.get("/{agent}", responses=_OF_ONE)
    async def get(request: Request, agent: str) -> Response:
        """One agent, with the jobs that it runs."""
        found = await asyncio.to_thread(actions.read_agent, console, actor_of(request), agent)
        return json(agent_as_json(found))

    @routes.delete("/{agent}", status_code=204, responses=_OF_ONE | {409: {"description": "It is there"}})
    async def forget(request: Request, agent: str) -> Response:
        """Take an agent that stopped or was lost off the list."""
        await asyncio.to_thread(actions.forget_agent, console, actor_of(request), agent)
        return Response(status_code=204)

    @routes.post("/{agent}/notify", openapi_extra=schema(NoticeBody), responses=_SAID)
    async def notify(request: Request, agent: str) -> Response:
        """Send a message to one agent."""
        asked = await body(request, NoticeBody)
        check_values(asked.data, "data", 1)
        work = (actions.notify_agent, console, actor_of(request), agent)
        return json(sent_as_json(await asyncio.to_thread(*work, **msgspec.structs.asdict(asked))))

    @routes.post("/{agent}/scale", openapi_extra=schema(ScaleBody), responses=_SAID)
    async def scale(request: Request, agent: str) -> Response:
        """Give it more or fewer workers until its next start."""
        asked = await body(request, ScaleBody)
        return await _tell(console, request, agent, "scale", concurrency=asked.concurrency)

    @routes.post("/{agent}/pause", responses=_SAID)
    async def pause(request: Request, agent: str) -> Response:
        """Start no more jobs there; those that run go on."""
        return await _tell(console, request, agent, "pause")

    @routes.post("/{agent}/resume", responses=_SAID)
    async def resume(request: Request, agent: str) -> Response:
        """Start jobs there again."""
        return await _tell(console, request, agent, "resume")

    @routes.post("/{agent}/drain", responses=_SAID)
    async def drain(request: Request, agent: str) -> Response:
        """Finish what runs there and take nothing more, so that it can be stopped."""
        return await _tell(console, request, agent, "drain")

    @routes.post("/{agent}/stop", responses=_SAID)
    async def stop(request: Request, agent: str) -> Response:
        """End its process gracefully: unfinished jobs go back to their queues."""
        return await _tell(console, request, agent, "stop")

    @routes.post("/{agent}/ping", responses=_SAID)
    async def ping(request: Request, agent: str) -> Response:
        """Ask it to answer; `latency` is how many seconds that took."""
        return await _tell(console, request, agent, "ping")

    return routes


async def _tell(console: Console, request: Request, agent: str, command: str, **args: Any) -> Response:
    work = (actions.command_agent, console, actor_of(request), agent, command)
    return json(sent_as_json(await asyncio.to_thread(*work, **args)))
