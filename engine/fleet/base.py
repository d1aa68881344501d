"""What a fleet offers: who is there, how they are, and ways to reach them.

One protocol, two of it: ``engine.fleet.alone`` for a process without Redis, which is its own fleet of one, and
``engine.fleet.remote`` for many processes that share a Redis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

#: seconds between two heartbeats, and without one after which an agent is late, and lost
BEAT_SECONDS, LATE_SECONDS, LOST_SECONDS = 1.0, 3.0, 10.0
#: what an agent can be told to do
COMMANDS = ("pause", "resume", "drain", "scale", "stop", "ping")


class CurrentJob(msgspec.Struct, frozen=True):
    """A job that an agent runs now."""

    id: str
    task: str
    queue: str
    started_at: float
    tenant: str = ""


class AgentView(msgspec.Struct, frozen=True):
    """An engine process as the others see it."""

    id: str
    fleet: str
    name: str
    #: identity of its journal, "" if it has none
    node: str
    host: str
    pid: int
    version: str
    capabilities: tuple[str, ...]
    #: tenants whose jobs alone it takes; empty for all
    tenants: tuple[str, ...]
    queues: tuple[str, ...]
    #: slots, and how many are used
    concurrency: int
    busy: int
    #: ``online``, ``late``, ``lost``, ``draining``, ``stopped``
    presence: str
    paused: bool
    started_at: float
    seen_at: float
    #: of its process: share of one core 0–n, bytes of memory
    cpu: float
    memory: int
    #: attempts that completed or failed since its start, those of them that failed, mean seconds of running
    done: int
    failed: int
    mean_seconds: float
    current: tuple[CurrentJob, ...] = ()
    #: state of its link: standalone, connected, airgapped, recovering
    link: str = "standalone"
    #: whether it serves a console
    console: bool = False


class Notice(msgspec.Struct, frozen=True):
    """A message to agents."""

    id: str
    at: float
    text: str
    #: 1 (first) to 10
    priority: int = 5
    data: dict[str, Any] = {}
    by: str = ""
    #: wall time after which nobody need hear it
    expires_at: float = 0.0
    #: whom it was sent to: an agent's id, or ``*`` for all
    to: str = "*"


class Sent(msgspec.Struct, frozen=True):
    """What became of a message or a command."""

    #: agents that were there, agents for which it waits, agents whose box was full of more important ones
    delivered: int = 0
    buffered: int = 0
    refused: int = 0
    #: seconds until the agent answered, for ``ping``; ``None`` if it did not
    latency: float | None = None


class Fleet(Protocol):
    """The agents that share a store."""

    #: name of the fleet
    name: str
    #: messages sent by this process so far
    sent: int

    def serves_console(self) -> None:
        """Let the others know that this agent serves a console."""

    def agents(self) -> list[AgentView]:
        """All agents that are known, by name; stopped and lost ones for a day."""

    def command(self, agent: str, command: str, by: str = "", **args: Any) -> Sent:
        """Tell an agent to do one of ``COMMANDS`` (``scale`` takes ``concurrency``).  Raises ``NotFound``,
        ``ValidationError``, ``Unreachable``."""

    def notify(
        self, agent: str, text: str, *, by: str = "", priority: int = 5, ttl: float = 3600.0, **data: Any
    ) -> Sent:
        """Send a message to one agent; kept for it until ``ttl`` if it is away.  Raises ``NotFound``."""

    def broadcast(
        self,
        text: str,
        *,
        fleet: str = "",
        capability: str = "",
        by: str = "",
        priority: int = 5,
        ttl: float = 3600.0,
        **data: Any,
    ) -> Sent:
        """Send a message to all agents of a fleet, or with a capability."""

    def forget(self, agent: str) -> bool:
        """Take a lost or stopped agent off the list.  Raises ``Conflict`` if it is there."""

    def subscribe(self, hear: Callable[[Notice], None]) -> Callable[[], None]:
        """Be told of messages to this agent; the function returned ends it."""

    def start(self) -> None:
        """Join."""

    def stop(self) -> None:
        """Leave."""
