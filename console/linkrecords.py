"""The link, its proofs and conflicts as the API tells them: plain values, times in ISO 8601."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from engine.kernel.clock import iso

if TYPE_CHECKING:
    from airgap.view import AirView
    from data.linkshapes import ConflictRow, LinkRow, ProofRow
    from engine.kernel.events import ResyncProved


def view_as_json(view: AirView, facts: Mapping[str, Any], started_at: float) -> dict[str, Any]:
    """How the link stands; ``facts`` are the store's, a state without a beginning is as old as the process."""
    return _told(view) | {
        "since": iso(view.since or started_at),
        "oldest_unsynced_at": iso(view.oldest_unsynced_at),
        "probed_at": iso(view.probed_at),
        "progress": msgspec.structs.asdict(view.progress) if view.progress else None,
        "last_proof": proof_as_json(view.last_proof) if view.last_proof else None,
        "quota": {"used": facts.get("used", 0), "limit": facts.get("limit", 0)},
    }


def proof_as_json(proof: ResyncProved) -> dict[str, Any]:
    """What both sides counted at the end of a resync, as the node told it."""
    lanes = [lane_as_json(*lane) for lane in proof.lanes]
    return _told(proof) | {"at": iso(proof.at), "began_at": iso(proof.began_at), "lanes": lanes}


def row_as_json(proof: ProofRow) -> dict[str, Any]:
    """The same as history tells it."""
    lanes = [lane_as_json(*msgspec.structs.astuple(lane)) for lane in proof.lanes]
    return _told(proof) | {"at": iso(proof.at), "began_at": iso(proof.began_at), "lanes": lanes}


def lane_as_json(queue: str, kind: str, here: int, here_chain: str, there: int, there_chain: str) -> dict[str, Any]:
    """One lane: the number of its last event and the chain up to it, on both sides."""
    return {
        "queue": queue,
        "lane": kind,
        "here": {"number": here, "chain": here_chain},
        "there": {"number": there, "chain": there_chain},
        "equal": (here, here_chain) == (there, there_chain),
    }


def change_as_json(change: LinkRow) -> dict[str, Any]:
    """A state that the link of a node came into."""
    return _told(change) | {"at": iso(change.at)}


def conflict_as_json(conflict: ConflictRow) -> dict[str, Any]:
    """What stands and what came later, secrets masked."""
    times = {"at": iso(conflict.at), "resolved_at": iso(conflict.resolved_at)}
    return _told(conflict) | times | {"open": not conflict.resolved_at}


def _told(row: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__}
