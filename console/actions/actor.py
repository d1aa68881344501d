"""Who acts, and what each role may do.

``viewer`` reads; ``operator`` also changes jobs and pauses queues; ``admin`` also changes limits, the
link and who may come in.  An
actor bound to a tenant sees and touches that tenant's jobs only, and nothing that all tenants share.
"""

from __future__ import annotations

import msgspec

from engine.kernel.errors import HoldfastError

#: role -> how much it may
ROLES = {"viewer": 1, "operator": 2, "admin": 3}

#: action -> the least role that may do it
RIGHTS = {
    "read": "viewer",
    "job.enqueue": "operator",
    "job.retry": "operator",
    "job.cancel": "operator",
    "job.delete": "operator",
    "queue.pause": "operator",
    "queue.resume": "operator",
    "queue.limits": "admin",
    "metrics.read": "viewer",
    "store.read": "viewer",
    "store.acknowledge": "admin",
    "audit.read": "admin",
    "airgap.read": "viewer",
    "airgap.force": "admin",
    "airgap.release": "admin",
    "airgap.sync": "admin",
    "airgap.resolve": "admin",
    "airgap.take_back": "admin",
    "agent.read": "viewer",
    "agent.ping": "operator",
    "agent.pause": "operator",
    "agent.resume": "operator",
    "agent.drain": "operator",
    "agent.notify": "operator",
    "agent.broadcast": "operator",
    "agent.scale": "admin",
    "agent.stop": "admin",
    "agent.forget": "admin",
    "bundle.read": "viewer",
    "bundle.make": "admin",
    "bundle.take": "admin",
    "bundle.release": "admin",
    "trust.manage": "admin",
    "keys.rotate": "admin",
    "access.manage": "admin",
}

#: what touches every tenant, so a tenant's actor may not
SHARED = frozenset(RIGHTS) - {"read", *(name for name in RIGHTS if name.startswith("job."))}


class Forbidden(HoldfastError):
    """The actor's role or tenant does not allow the action."""


class Actor(msgspec.Struct, frozen=True):
    """A person or a program that is signed in."""

    name: str
    role: str
    #: the only tenant it sees; ``None`` for all
    tenant: str | None = None
    #: how it came: ``console``, ``api`` or ``cli``
    via: str = "api"

    def may(self, action: str) -> bool:
        """Whether role and tenant allow ``action``; for greying out buttons."""
        return ROLES[self.role] >= ROLES[RIGHTS[action]] and (self.tenant is None or action not in SHARED)


def authorise(actor: Actor, action: str, tenant: str | None = None) -> None:
    """Raise ``Forbidden`` unless ``actor`` may do ``action``, on ``tenant``'s things if one is named."""
    if ROLES[actor.role] < ROLES[RIGHTS[action]]:
        raise Forbidden(f"{action} needs the role {RIGHTS[action]}; {actor.name} is {actor.role}")
    if actor.tenant is not None and action in SHARED:
        raise Forbidden(f"{action} concerns every tenant; {actor.name} belongs to tenant {actor.tenant}")
    if actor.tenant is not None and tenant is not None and tenant != actor.tenant:
        raise Forbidden(f"{actor.name} belongs to tenant {actor.tenant} and cannot act for another")
