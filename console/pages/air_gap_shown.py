"""The link, its proofs, conflicts and bundles as plain values for the components of the air gap's page."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from airgap.bundles import BundleView
from airgap.view import AirView
from console import design
from console.feed import Snapshot
from data.linkshapes import ConflictRow, LinkRow, ProofRow
from engine.fleet.base import AgentView
from engine.kernel.events import ResyncProved

#: who can be given work
HERE = frozenset({"online", "late", "draining"})
#: states of a bundle whose file is still needed
WITH_FILE = frozenset({"carried", "sent"})
#: characters of a result that are shown
MOST = 4_000


def link_props(air: AirView, node: str, agents: Sequence[AgentView], own: str) -> dict[str, Any]:
    """What the map of the link shows."""
    cut = air.state == "airgapped"  # then nobody knows who is still there
    others = [
        agent for agent in agents if agent.id != own and (agent.presence in HERE or (cut and agent.presence == "lost"))
    ]
    return {
        "air": _air(air),
        "node": node or platform.node(),
        "others": {"here": len(others), "consoles": sum(agent.console for agent in others)},
    }


def _air(air: AirView) -> dict[str, Any]:
    progress = air.progress if air.state == "recovering" else None
    return {
        "state": air.state,
        "since": air.since,
        "reason": air.reason,
        "forced": air.forced,
        "mode": air.mode,
        "stopped": air.stopped,
        "address": air.address,
        "latency": round(air.latency, 4) if air.latency is not None else None,
        "probed": air.probed_at if air.state == "airgapped" else 1 if air.probed_at else 0,
        "local": air.local_jobs,
        "unsynced": air.unsynced_events,
        "done": progress.done if progress else 0,
        "total": progress.total if progress else 0,
        "bytes": progress.bytes if progress else 0,
        "eta": progress.eta if progress else None,
    }


def figures_of(snapshot: Snapshot) -> list[dict[str, Any]]:
    """The link in five figures."""
    air = snapshot.air
    return [_backlog(air, snapshot.at), _held(air), _store(snapshot.store), _answers(air), _losses(air)]


def _backlog(air: AirView, now: float) -> dict[str, Any]:
    card: dict[str, Any] = {"label": "Waiting for Redis", "value": f"{air.unsynced_events:,}", "unit": "events"}
    if air.unsynced_events and air.oldest_unsynced_at:
        return card | {"strong": design.span(max(0.0, now - air.oldest_unsynced_at)), "foot": "the oldest waits"}
    return card | {"foot": "Redis has all" if air.state != "standalone" else "no Redis"}


def _held(air: AirView) -> dict[str, Any]:
    foot = f"event {air.sequence:,} of the journal"
    return {"label": "Jobs held here", "value": f"{air.local_jobs:,}", "foot": foot}


def _store(facts: dict[str, Any]) -> dict[str, Any]:
    used, limit = float(facts.get("used") or 0), float(facts.get("limit") or 0)
    value, unit = design.size(used).split(" ")
    card: dict[str, Any] = {"label": "Sealed store", "value": value, "unit": unit, "foot": "used, without a limit"}
    return card | ({"share": used / limit, "foot": f"of {design.size(limit)}"} if limit else {})


def _answers(air: AirView) -> dict[str, Any]:
    card: dict[str, Any] = {"label": "Redis answers in", "value": "–", "foot": "no Redis"}
    if air.pool:
        card["foot"] = f"{air.pool.get('in_use', 0)} of {air.pool.get('connections', 0)} connections in use"
    if air.latency is None or air.state == "airgapped":
        return card
    value, unit = design.took(air.latency)
    return card | {"value": value, "unit": unit}


def _losses(air: AirView) -> dict[str, Any]:
    given = f"{air.synced_total:,} events given since"
    return {"label": "Times lost", "value": f"{air.failovers:,}", "foot": given if air.state != "standalone" else "–"}


def change_of(row: LinkRow) -> dict[str, Any]:
    """A state of the link."""
    return {name: getattr(row, name) for name in ("at", "state", "reason", "forced", "by", "lasted")}


def proof_of(proof: ProofRow | ResyncProved) -> dict[str, Any]:
    """A proof, as history or the link tells it."""
    return {
        "at": proof.at,
        "began": proof.began_at,
        "events": proof.events,
        "bytes": proof.bytes,
        "conflicts": proof.conflicts,
        "rewound": proof.rewound,
        "equal": proof.equal,
        "lanes": [_lane(*_parts(lane)) for lane in proof.lanes],
    }


def _parts(lane: Any) -> Any:
    return msgspec.structs.astuple(lane) if isinstance(lane, msgspec.Struct) else lane


def _lane(queue: str, kind: str, here: int, here_chain: str, there: int, there_chain: str) -> dict[str, Any]:
    return {
        "queue": queue,
        "kind": kind,
        "here": here,
        "hereChain": here_chain,
        "there": there,
        "thereChain": there_chain,
        "equal": (here, here_chain) == (there, there_chain),
    }


def conflict_of(row: ConflictRow, why_not_take: Callable[[ConflictRow], str]) -> dict[str, Any]:
    """A conflict, both sides; secrets were masked when it was recorded."""
    names = ("id", "at", "job", "queue", "kind", "node", "first", "later", "task", "state", "choice", "by")
    refusal = why_not_take(row) if not row.resolved_at else ""
    return {name: getattr(row, name) for name in names} | {
        "resolved": row.resolved_at,
        "result": _pretty(row.result) if row.result is not None else "",
        "body": _pretty(row.body),
        "same": row.result is not None and bytes(row.result) == bytes(row.body),
        "takeable": not refusal,
        "refusal": refusal[:1].upper() + refusal[1:],
    }


def _pretty(raw: msgspec.Raw) -> str:
    """JSON for people; nothing for ``null``."""
    if bytes(raw) == b"null":
        return ""
    text = msgspec.json.format(bytes(raw), indent=2).decode("utf-8", "replace")
    return text if len(text) <= MOST else f"{text[:MOST]}\n…"


def bundle_of(view: BundleView) -> dict[str, Any]:
    """A bundle, and whether its file can be had."""
    shown = msgspec.structs.asdict(view)
    return shown | {"file": view.direction == "out" and view.state in WITH_FILE}
