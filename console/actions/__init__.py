"""The only way to change anything: authorise, call the engine, write the audit.

Pages, REST and command line are skins over these functions.  All are plain functions that may wait for the disk: call them
with ``asyncio.to_thread`` from the event loop.  They raise ``Forbidden`` when the actor may not, else the engine's errors.
"""

from __future__ import annotations

from console.actions.actor import ROLES, Actor, Forbidden, authorise
from console.actions.agents import broadcast, command_agent, forget_agent, list_agents, notify_agent, read_agent
from console.actions.airgap import force, release, resolve, sync, take_back
from console.actions.bulk import apply_to_matching
from console.actions.jobs import Outcome, cancel, delete, enqueue, enqueue_many, retry, run_again, run_sample
from console.actions.keys import create_token, revoke_token, rotate_keys
from console.actions.queues import pause, resume, set_limits
from console.actions.store import acknowledge

__all__ = [
    "ROLES",
    "Actor",
    "Forbidden",
    "Outcome",
    "acknowledge",
    "apply_to_matching",
    "authorise",
    "broadcast",
    "cancel",
    "command_agent",
    "create_token",
    "delete",
    "enqueue",
    "enqueue_many",
    "force",
    "forget_agent",
    "list_agents",
    "notify_agent",
    "pause",
    "read_agent",
    "release",
    "resolve",
    "resume",
    "retry",
    "revoke_token",
    "rotate_keys",
    "run_again",
    "run_sample",
    "set_limits",
    "sync",
    "take_back",
]
