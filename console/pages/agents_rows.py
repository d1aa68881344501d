"""Agents as the page shows them: which of them a filter leaves, plain values for components, figures, words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from console import design
from engine.fleet.base import AgentView, Sent
from plugins.housekeeping import HISTORY

#: who can be given work
HERE = frozenset({"online", "late", "draining"})
#: presence -> its chip
CHIPS = {
    "": "All",
    "online": "Online",
    "paused": "Paused",
    "draining": "Draining",
    "late": "Late",
    "lost": "Lost",
    "stopped": "Stopped",
}
#: rows, tags and queues that are shown at the most
ROWS, TAGS, QUEUES = 200, 2, 40


class Filter(msgspec.Struct, frozen=True):
    """Which agents are asked for, and which of them is looked at."""

    presence: str = ""
    capability: str = ""
    agent: str = ""

    @property
    def query(self) -> dict[str, str]:
        """The filter as the address has it."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value}

    def leaves(self, agent: AgentView) -> bool:
        """Whether the list shows that agent."""
        return is_(agent, self.presence) and (not self.capability or self.capability in agent.capabilities)


def filter_of(query: Mapping[str, str]) -> Filter:
    """What an address asks for."""
    presence = query.get("presence", "")
    return Filter(presence if presence in CHIPS else "", query.get("capability", ""), query.get("agent", ""))


def is_(agent: AgentView, presence: str) -> bool:
    """Whether an agent is among those of a chip."""
    if presence == "paused":
        return agent.paused and agent.presence in HERE
    return presence in ("", agent.presence)


def list_props(agents: Sequence[AgentView], filter: Filter, own: str) -> dict[str, Any]:
    """What the list shows."""
    found = [agent for agent in agents if filter.leaves(agent)]
    return {
        "rows": [_row(agent, own) for agent in found[:ROWS]],
        "more": max(0, len(found) - ROWS),
        "chips": list(_chips(agents, filter.presence)),
        "chosen": filter.presence,
        "capability": filter.capability,
        "capabilities": sorted(capabilities_of(agents) | ({filter.capability} - {""})),
        "query": {name: value for name, value in filter.query.items() if name != "agent"},
        "open": filter.agent,
    }  # fmt: skip


def capabilities_of(agents: Iterable[AgentView]) -> set[str]:
    """Capabilities that people gave; those by which a console marks its own history are left out."""
    return {name for agent in agents for name in agent.capabilities if not name.startswith(HISTORY)}


def _chips(agents: Sequence[AgentView], chosen: str) -> Iterable[dict[str, Any]]:
    """The chips of what there is, and the chosen one."""
    for value, label in CHIPS.items():
        number = sum(is_(agent, value) for agent in agents)
        if number or value in ("", "online", chosen):
            yield {"value": value, "label": label, "n": number}


def _row(agent: AgentView, own: str) -> dict[str, Any]:
    first = agent.current[0] if agent.current else None
    can = sorted(capabilities_of([agent]))
    return {
        **_common(agent),
        "me": agent.id == own,
        "console": agent.console,
        "job": {"id": first.id, "task": first.task} if first else None,
        "others": max(0, agent.busy - 1) if first else 0,
        "capabilities": can[:TAGS],
        "capabilitiesMore": max(0, len(can) - TAGS),
    }


def drawer_of(agent: AgentView) -> dict[str, Any]:
    """All that is known of one agent."""
    return {
        **_common(agent),
        "fleet": agent.fleet,
        "pid": agent.pid,
        "version": agent.version,
        "link": agent.link,
        "linked": agent.link != "standalone",
        "node": agent.node,
        "tenants": list(agent.tenants),
        "capabilities": sorted(capabilities_of([agent])),
        "queues": list(agent.queues[:QUEUES]),
        "queuesMore": max(0, len(agent.queues) - QUEUES),
        "current": [
            {"id": job.id, "task": job.task, "queue": job.queue, "started": job.started_at} for job in agent.current
        ],
    }


def _common(agent: AgentView) -> dict[str, Any]:
    return {
        "id": agent.id,
        "name": agent.name,
        "host": agent.host,
        "presence": agent.presence,
        "here": agent.presence in HERE,
        "paused": agent.paused,
        "busy": agent.busy,
        "concurrency": agent.concurrency,
        "done": agent.done,
        "failed": agent.failed,
        "mean": round(agent.mean_seconds, 3),
        "cpu": round(agent.cpu, 2),
        "memory": agent.memory // 1_000_000 * 1_000_000,
        "started": agent.started_at,
        "seen": 0.0 if agent.presence in HERE else agent.seen_at,
    }


def figures_of(agents: Sequence[AgentView]) -> list[dict[str, Any]]:
    """The fleet in five figures."""
    here = [agent for agent in agents if agent.presence in HERE]
    slots, busy = sum(agent.concurrency for agent in here), sum(agent.busy for agent in here)
    return [
        _here(agents, here),
        {"label": "Slots in use", "value": f"{busy:,}", "unit": f"of {slots:,}", "foot": f"{slots - busy:,} free"}
        | {"share": busy / slots if slots else 0},
        _done(agents),
        _mean(agents),
        _weight(here),
    ]  # fmt: skip


def _here(agents: Sequence[AgentView], here: Sequence[AgentView]) -> dict[str, Any]:
    lost = sum(agent.presence == "lost" for agent in agents)
    card: dict[str, Any] = {"label": "Agents here", "value": f"{len(here):,}", "foot": "all that are known"}
    if lost:
        return card | {"unit": f"of {len(agents):,}", "strong": f"{lost:,} lost", "tone": "dn", "foot": ""}
    paused = sum(agent.paused for agent in here)
    return card | ({"strong": f"{paused:,} paused", "tone": "wr", "foot": ""} if paused else {})


def _done(agents: Sequence[AgentView]) -> dict[str, Any]:
    done, failed = sum(agent.done for agent in agents), sum(agent.failed for agent in agents)
    card: dict[str, Any] = {"label": "Jobs done", "value": f"{done:,}", "foot": "since the agents' starts"}
    if failed:
        card |= {"strong": f"{failed / done:.1%}".replace("%", " %"), "tone": "dn", "foot": "failed"}
    return card


def _mean(agents: Sequence[AgentView]) -> dict[str, Any]:
    done = sum(agent.done for agent in agents)
    value, unit = design.took(sum(agent.mean_seconds * agent.done for agent in agents) / done) if done else ("–", "")
    return {"label": "Mean run time", "value": value, "unit": unit, "foot": "over all agents"}


def _weight(here: Sequence[AgentView]) -> dict[str, Any]:
    memory = design.size(sum(agent.memory for agent in here)).split(" ")
    cores = sum(agent.cpu for agent in here)
    return {"label": "Memory", "value": memory[0], "unit": memory[1], "strong": f"{cores:.1f}", "foot": "cores busy"}


def told(sent: Sent, done: str) -> str:
    """What became of a command or a message, in words."""
    words = []
    if sent.delivered:
        words.append(done)
    if sent.buffered:
        words.append(f"kept for {_agents(sent.buffered)} that {'is' if sent.buffered == 1 else 'are'} away")
    if sent.refused:
        words.append(f"refused by {_agents(sent.refused)}: too many messages wait there")
    said = "; ".join(words) or "Nobody to tell"
    return said[:1].upper() + said[1:]


def _agents(number: int) -> str:
    return f"{number:,} agent{'' if number == 1 else 's'}"
