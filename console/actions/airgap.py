"""Cutting the link to Redis by hand, letting it come back, deciding conflicts, and taking back what a lost agent holds."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from airgap.view import Air, AirView, air_of, link_of, remote_of
from console.actions.actor import Actor, authorise
from console.context import Console
from data import queries
from engine.kernel.errors import Conflict, NotFound, ValidationError
from engine.kernel.events import ConflictResolved
from engine.kernel.job import JobState

if TYPE_CHECKING:
    from data.linkshapes import ConflictRow

#: how an agent is that does not come to its jobs any more; higher than every token there will be
AWAY, ALL_TOKENS = frozenset({"lost", "stopped"}), 10**16 - 1
#: what can be done about a conflict
CHOICES = ("keep", "take")
#: kinds of conflicts that are about an outcome
OUTCOMES = frozenset({"result", "late"})
#: how the outcome of a job that has no result reads
UNSUCCESSFUL = frozenset(state.value for state in JobState) - {JobState.COMPLETED.value}
FAILURE_FIELDS = frozenset({"state", "type", "message", "reason"})


def force(console: Console, actor: Actor, reason: str = "") -> AirView:
    """Go airgapped and stay so, over restarts, until ``release``.  Raises ``Conflict`` if there is no Redis to leave."""
    link = _link(console, actor, "airgap.force")
    link.force(by=actor.name, reason=reason)
    console.trail.write(actor, "airgap.force", "link", {"reason": reason} if reason else None)
    return link.air()


def release(console: Console, actor: Actor) -> AirView:
    """Connect again as soon as Redis can be reached.  Raises ``Conflict`` if there is no Redis."""
    link = _link(console, actor, "airgap.release")
    link.release(by=actor.name)
    console.trail.write(actor, "airgap.release", "link")
    return link.air()


def sync(console: Console, actor: Actor) -> AirView:
    """Look for Redis now and give it what it has not.  Raises ``Conflict`` if there is none or the link is kept cut."""
    link = _link(console, actor, "airgap.sync")
    link.sync(by=actor.name)
    console.trail.write(actor, "airgap.sync", "link")
    return link.air()


def take_back(console: Console, actor: Actor, agent: str) -> int:
    """Let others run the jobs of an agent that is gone for good, also in queues that hold them, and those that its node
    held for itself and Redis knows of; returns how many.

    Raises ``Conflict`` if the agent is there, or if there is no Redis; ``Unreachable``.
    """
    _link(console, actor, "airgap.take_back")
    view = next((view for view in console.engine.fleet.agents() if view.id == agent), None)
    if view is not None and view.presence not in AWAY:
        raise Conflict(f"agent {agent:.100} is {view.presence}; it ends its jobs itself")
    remote = remote_of(console.engine.store)
    if remote is None:
        return 0
    count = remote.release_held(agent, ALL_TOKENS)
    if view is not None and view.node:
        count += remote.free_owned(remote.names(view.node), actor.name)
    console.trail.write(actor, "airgap.take_back", agent, {"jobs": count})
    return count


def resolve(console: Console, actor: Actor, conflict_id: str, choice: str) -> None:
    """Decide a conflict: ``keep`` what stands, or ``take`` the result that came later.

    Raises ``ValidationError`` for another choice, ``NotFound``, ``Conflict`` if it was decided or there is nothing to take.
    """
    authorise(actor, "airgap.resolve")
    if choice not in CHOICES:
        raise ValidationError(f"choice: expected keep or take, got {choice!r:.60}", "choice")
    row = queries.conflict(console.database, conflict_id)
    if row is None:
        raise NotFound(f"there is no conflict {conflict_id!r:.100}")
    if row.resolved_at:
        raise Conflict(f"conflict {row.id} was decided by {row.by or 'somebody'}: {row.choice}")
    if choice == "take":
        _take(console, row)
    console.engine.store.record([ConflictResolved(console.engine.clock.now(), row.id, choice, actor.name)])
    console.trail.write(actor, "airgap.resolve", row.id, {"choice": choice, "job": row.job})


def why_not_take(console: Console, row: ConflictRow) -> str:
    """Why the later result of a conflict cannot be put in the place of the one that stands; "" if it can."""
    if row.kind not in OUTCOMES:
        return f"it is about a {row.kind} key; there is no result to take, keep what stands"
    if link_of(console.engine.store) is None:
        return "results are kept by Redis and this node has none; keep what stands"
    body = bytes(row.body)
    if hashlib.sha256(body).hexdigest() != row.later:
        return f"the later result was masked or cut in history; look at node {row.node}"
    return "what came later is no result; keep what stands, or run the job again" if _is_failure(body) else ""


def _take(console: Console, row: ConflictRow) -> None:
    """Let the later result stand; it must be known byte by byte."""
    refusal, link = why_not_take(console, row), link_of(console.engine.store)
    if refusal or link is None:
        raise Conflict(f"conflict {row.id}: {refusal}")
    link.amend(row.queue, row.job, bytes(row.body))


def _is_failure(body: bytes) -> bool:
    """Whether an outcome tells why there is no result."""
    told = msgspec.json.decode(body)
    return isinstance(told, dict) and told.get("state") in UNSUCCESSFUL and told.keys() <= FAILURE_FIELDS


def _link(console: Console, actor: Actor, action: str) -> Air:
    authorise(actor, action)
    link = link_of(console.engine.store)
    if link is None:
        view = air_of(console.engine.store)
        raise Conflict(f"this node is {view.state}: {view.reason}, so there is no link; start it with --redis URL")
    return link
