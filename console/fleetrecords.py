"""Agents and what was said to them in the JSON form of the API."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.fleet.base import AgentView, Sent
from engine.kernel.clock import iso


def agent_as_json(agent: AgentView) -> dict[str, Any]:
    """An agent; times as ISO 8601."""
    fields: dict[str, Any] = msgspec.to_builtins(agent)
    times = {name: iso(fields[name]) for name in ("started_at", "seen_at")}
    current = [job | {"started_at": iso(job["started_at"])} for job in fields["current"]]
    return fields | times | {"current": current, "cpu": round(agent.cpu, 3)}


def sent_as_json(sent: Sent) -> dict[str, Any]:
    """What became of a message; ``latency`` only where there is one."""
    fields: dict[str, Any] = msgspec.to_builtins(sent)
    return fields if sent.latency is not None else {name: fields[name] for name in ("delivered", "buffered", "refused")}
