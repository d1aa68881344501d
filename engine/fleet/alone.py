"""The fleet of a process without Redis: itself, and nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.fleet.base import AgentView, Notice, Sent
from engine.fleet.drafts import notice_of
from engine.fleet.hearing import Hearing, checked
from engine.fleet.report import Member, Reporter
from engine.kernel.errors import Conflict, NotFound


class Alone:
    """Implements ``engine.fleet.base.Fleet``."""

    def __init__(self, member: Member) -> None:
        self.name = member.settings.fleet
        self.sent = 0
        self._member = member
        self._hearing = Hearing(member)
        self._reporter = Reporter(member, self._hearing)

    def serves_console(self) -> None:
        """See ``Fleet.serves_console``."""
        self._reporter.console = True

    def agents(self) -> list[AgentView]:
        """See ``Fleet.agents``."""
        return [self._reporter.view()]

    def command(self, agent: str, command: str, by: str = "", **args: Any) -> Sent:
        """See ``Fleet.command``."""
        given = checked(command, args)
        self._known(agent)
        self._hearing.obey(command, given, by)
        return Sent(delivered=1, latency=0.0 if command == "ping" else None)

    def notify(
        self, agent: str, text: str, *, by: str = "", priority: int = 5, ttl: float = 3600.0, **data: Any
    ) -> Sent:
        """See ``Fleet.notify``."""
        self._known(agent)
        self._hearing.tell(notice_of(self._member.clock, text, by, priority, ttl, data, agent))
        self.sent += 1
        return Sent(delivered=1)

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
        """See ``Fleet.broadcast``."""
        notice = notice_of(self._member.clock, text, by, priority, ttl, data, "*")
        if fleet not in ("", self.name) or (capability and capability not in self._member.settings.capabilities):
            return Sent()
        self._hearing.tell(notice)
        self.sent += 1
        return Sent(delivered=1)

    def forget(self, agent: str) -> bool:
        """See ``Fleet.forget``."""
        self._known(agent)
        raise Conflict(f"agent {agent} is this very process; stop it first")

    def subscribe(self, hear: Callable[[Notice], None]) -> Callable[[], None]:
        """See ``Fleet.subscribe``."""
        return self._hearing.subscribe(hear)

    def start(self) -> None:
        """Nothing to join."""

    def stop(self) -> None:
        """Nothing to leave."""

    def _known(self, agent: str) -> None:
        if agent != self._member.agent:
            raise NotFound(f"there is no agent {agent:.80}; the only one is {self._member.agent}")
