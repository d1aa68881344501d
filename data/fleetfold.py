"""Folds what a batch of events tells of agents and queues, beside the jobs (``data.folding``).

Pure memory.  A draft says only what this batch knows; what it leaves empty, history keeps (``data.statements``).  The
latest start and the latest stop count, in whichever order they are told: an agent runs that started after it stopped.
"""

from __future__ import annotations

import msgspec

from data.drafts import AgentDraft
from data.masking import storable
from engine.kernel import events as ev
from engine.storage.records import CARRIER


class FleetFold:
    """The rows of agents and pauses that a batch makes."""

    def __init__(self) -> None:
        self.agents: dict[str, AgentDraft] = {}
        #: queue -> whether it was paused, when, by whom
        self.pauses: dict[str, tuple[bool, float, str]] = {}

    def seen(self, name: str, at: float) -> None:
        """An agent was at work; a bundle that carries jobs away is none."""
        if name.startswith(CARRIER):
            return
        agent = self._agent(name)
        if at > agent.seen_at:
            agent.seen_at = at
        if at < agent.first_at or not agent.first_at:
            agent.first_at = at

    def worked(self, event: ev.AttemptEnded, name: str) -> None:
        """An attempt ended in an agent's hands."""
        kind = type(event)
        if kind is ev.JobCompleted:
            self._agent(name).completed += 1
        elif kind is ev.JobRetryScheduled or kind is ev.JobDied:
            self._agent(name).failed += 1

    def started(self, event: ev.AgentStarted) -> None:
        self.seen(event.agent, event.at)
        agent, info = self._agent(event.agent), event.info
        if event.at < agent.started_at:
            return
        agent.started_at = event.at
        agent.host, agent.version = str(info.get("host", "")), str(info.get("version", ""))
        pid = info.get("pid", 0)
        agent.pid = int(pid) if isinstance(pid, int | float) else 0
        agent.info = msgspec.json.encode(info).decode()

    def stopped(self, event: ev.AgentStopped) -> None:
        self.seen(event.agent, event.at)
        agent = self._agent(event.agent)
        if event.at >= agent.stopped_at:
            agent.stopped_at, agent.reason = event.at, storable(event.reason, 500)

    def paused(self, event: ev.QueuePaused | ev.QueueResumed) -> None:
        """A queue was paused or resumed."""
        known = self.pauses.get(event.queue)
        if known is None or event.at >= known[1]:
            self.pauses[event.queue] = (type(event) is ev.QueuePaused, event.at, storable(event.by, 200))

    def _agent(self, name: str) -> AgentDraft:
        agent = self.agents.get(name)
        if agent is None:
            agent = self.agents[name] = AgentDraft(name)
        return agent
