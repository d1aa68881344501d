"""What an agent tells of itself, once a second."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol

import psutil

from engine.fleet import identity
from engine.fleet.base import AgentView, CurrentJob
from engine.fleet.hearing import Hands, Hearing
from engine.handle import Load
from engine.kernel.clock import Clock
from engine.kernel.settings import Settings

#: running jobs that are named; the others are only counted
CURRENT_MOST = 16
#: seconds over which CPU time is measured at least
SHORTEST = 0.5


class Member(Hands, Protocol):
    """An engine, as its fleet sees it."""

    agent: str
    settings: Settings
    clock: Clock
    store: Any

    @property
    def paused(self) -> bool:
        """Whether it starts no jobs."""

    def load(self) -> Load:
        """Slots, and what runs in them."""

    def serves(self) -> list[str]:
        """Names of the queues it takes jobs from."""

    def meet(self, queue: str) -> None:
        """Take note of a queue that another agent made."""


class Reporter:
    """Describes one agent."""

    def __init__(self, member: Member, hearing: Hearing) -> None:
        self._member = member
        self._hearing = hearing
        self._process = psutil.Process()
        #: share of a core, since the call before
        self._cpu, self._cpu_at = self._process.cpu_percent(), member.clock.monotonic()
        self._started_at = member.clock.now()
        #: whether it serves a console
        self.console = False

    def view(self) -> AgentView:
        """The agent as it is now."""
        member, settings = self._member, self._member.settings
        load = member.load()
        return AgentView(
            id=member.agent,
            fleet=settings.fleet,
            name=settings.agent_name or member.agent,
            node=str(getattr(member.store, "node", "")),
            host=identity.host(),
            pid=os.getpid(),
            version=identity.version(),
            capabilities=settings.capabilities,
            tenants=settings.tenants,
            queues=tuple(member.serves()),
            concurrency=load.slots,
            busy=load.busy,
            presence="draining" if self._hearing.draining else "online",
            paused=member.paused,
            started_at=self._started_at,
            seen_at=member.clock.now(),
            cpu=self._share_of_core() / 100,
            memory=self._process.memory_info().rss,
            done=load.done,
            failed=load.failed,
            mean_seconds=load.mean_seconds,
            current=tuple(
                CurrentJob(job.id, job.task, job.queue, job.started_at, job.tenant)
                for job in load.running[:CURRENT_MOST]
            ),
            link=link_of(member.store),
            console=self.console,
        )

    def _share_of_core(self) -> float:
        """Percent, over a stretch that is long enough to mean something."""
        now = self._member.clock.monotonic()
        if now - self._cpu_at >= SHORTEST:
            self._cpu, self._cpu_at = self._process.cpu_percent(), now
        return self._cpu


def link_of(store: Any) -> str:
    """State of a store's link to Redis."""
    air: Callable[[], Any] | None = getattr(store, "air", None)
    if air is not None:
        return str(air().state)
    return "connected" if hasattr(store, "client") else "standalone"


def silent(store: Any) -> bool:
    """Whether nothing at all may be sent to Redis now."""
    return bool(getattr(store, "silent", False))
