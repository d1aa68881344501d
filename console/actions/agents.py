"""Telling agents what to do, sending them messages, and taking those that are gone off the list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from console.actions.actor import Actor, authorise
from console.context import Console
from engine.fleet.base import COMMANDS, AgentView, Sent
from engine.kernel.errors import NotFound, ValidationError


def list_agents(console: Console, actor: Actor) -> list[AgentView]:
    """All agents of the fleet."""
    authorise(actor, "agent.read")
    return console.engine.fleet.agents()


def read_agent(console: Console, actor: Actor, agent_id: str) -> AgentView:
    """One of them.  Raises ``NotFound``."""
    for found in list_agents(console, actor):
        if found.id == agent_id:
            return found
    raise NotFound(f"there is no agent {agent_id:.80}")


def command_agent(console: Console, actor: Actor, agent_id: str, command: str, **args: Any) -> Sent:
    """Tell an agent to ``pause``, ``resume``, ``drain``, ``scale``, ``stop``, or to answer a ``ping``.

    Raises ``NotFound``, ``ValidationError``, ``Unreachable``.
    """
    if command not in COMMANDS:
        raise ValidationError(f"command: expected one of {', '.join(COMMANDS)}", "command")
    authorise(actor, f"agent.{command}")
    sent = console.engine.fleet.command(agent_id, command, by=actor.name, **args)
    console.trail.write(actor, f"agent.{command}", agent_id, args or None)
    return sent


def notify_agent(console: Console, actor: Actor, agent_id: str, text: str, **how: Any) -> Sent:
    """Send a message to one agent; ``priority``, ``ttl`` and ``data`` as in ``Fleet.notify``.

    Raises ``NotFound``, ``ValidationError``, ``Unreachable``.
    """
    authorise(actor, "agent.notify")
    sent = console.engine.fleet.notify(agent_id, text, by=actor.name, **_spread(how))
    console.trail.write(actor, "agent.notify", agent_id, {"text": text})
    return sent


def broadcast(console: Console, actor: Actor, text: str, *, fleet: str = "", capability: str = "", **how: Any) -> Sent:
    """Send a message to all agents of a fleet, or to those with a capability.  Raises ``ValidationError``,
    ``Unreachable``."""
    authorise(actor, "agent.broadcast")
    send = console.engine.fleet.broadcast
    sent = send(text, fleet=fleet, capability=capability, by=actor.name, **_spread(how))
    chosen = {"text": text, "capability": capability} if capability else {"text": text}
    console.trail.write(actor, "agent.broadcast", fleet or console.engine.fleet.name, chosen)
    return sent


def forget_agent(console: Console, actor: Actor, agent_id: str) -> None:
    """Take an agent that is gone off the list.  Raises ``NotFound``, ``Conflict`` if it is there."""
    authorise(actor, "agent.forget")
    if not console.engine.fleet.forget(agent_id):
        raise NotFound(f"there is no agent {agent_id:.80}")
    console.trail.write(actor, "agent.forget", agent_id)


#: names of a message's own fields, which its data may not take
_TAKEN = frozenset({"text", "agent", "by", "priority", "ttl", "fleet", "capability"})


def _spread(how: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ``data`` beside the others, as a fleet takes them."""
    data = how.get("data") or {}
    for name in data:
        if name in _TAKEN:
            raise ValidationError(f"data.{name}: the name is taken by the message itself; use another", f"data.{name}")
    return {name: value for name, value in how.items() if name != "data"} | dict(data)
