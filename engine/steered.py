"""What the fleet, and people, may ask of an engine's workers: how loaded they are, to pause, to be more or fewer, to leave;
and why a job waits, which depends on all workers of the fleet."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Sequence

from engine.fleet.base import AgentView, Fleet
from engine.fleet.hearing import SLOTS_MOST
from engine.handle import Load, RunningJob
from engine.kernel.clock import Clock
from engine.kernel.errors import Conflict, ValidationError
from engine.kernel.job import JobState, JobView
from engine.kernel.shield import shielded
from engine.queue.book import QueueBook
from engine.queue.registry import Registry
from engine.queue.waiting import Surroundings, Why, lacking_of, why_waiting
from engine.storage.base import Store
from engine.workers.attempt import Runner
from engine.workers.feeder import Feeder
from engine.workers.pool import Pool

#: agents that may take a job
HERE = frozenset({"online", "late"})


class Steered:
    """A part of ``engine.engine.Engine``, which owns all that is named here."""

    agent: str
    clock: Clock
    fleet: Fleet
    registry: Registry
    store: Store
    _feeder: Feeder
    _queues: QueueBook
    _pool: Pool | None
    _runner: Runner | None
    #: how the launcher wants this process to end when the fleet asks it to; by itself only the engine stops
    on_leave: Callable[[], None] | None = None

    def load(self) -> Load:
        """Slots, and what runs in them now."""
        if self._pool is None or self._runner is None:
            return Load(0, 0, [])
        running = list(self._runner.running.values())
        jobs = [RunningJob(a.job.id, a.job.task, a.job.queue, a.worker, a.started_at, a.job.tenant) for a in running]
        tally = self._pool.finisher.tally
        return Load(self._pool.size, len(jobs), jobs, tally.done, tally.failed, tally.mean_seconds)

    @property
    def paused(self) -> bool:
        """Whether this process starts no jobs for the time being; queues may be paused besides."""
        return self._feeder.halted

    def halt(self) -> None:
        """Start no more jobs in this process until ``go_on``; those that run go on."""
        if self._pool is not None:
            self._pool.halt()
        else:
            self._feeder.halt()

    def go_on(self) -> None:
        """Start jobs in this process again."""
        self._feeder.go_on()

    def scale(self, workers: int) -> None:
        """Run so many jobs at the same time from now on, until the next start.  Raises ``Conflict``, ``ValidationError``."""
        if not 1 <= workers <= SLOTS_MOST:
            raise ValidationError(f"workers: expected a whole number from 1 to {SLOTS_MOST}, got {workers}", "workers")
        if self._pool is None:
            raise Conflict("no workers run in this process; start the engine first")
        self._pool.scale(workers)

    def serves(self) -> list[str]:
        """Names of the queues whose jobs run here."""
        return sorted(self._feeder.room)

    def meet(self, queue: str) -> None:
        """Take note of a queue that was made elsewhere."""
        self._queues.define(queue)

    def leave(self) -> None:
        """Stop gracefully, as ``on_leave`` says where it is set; returns before it is done."""
        if self.on_leave is not None:
            self.on_leave()
        else:
            threading.Thread(target=self.stop, name="holdfast-leaving", daemon=True).start()

    @abstractmethod
    def stop(self) -> None:
        """See ``Engine.stop``."""

    @shielded
    def why_waiting(self, view: JobView) -> Why | None:
        """Why a waiting job does not run yet; ``None`` if it does not wait."""
        return why_waiting(view, self._around(view, [agent for agent in self.fleet.agents() if serving(agent, view)]))

    def _around(self, view: JobView, crew: Sequence[AgentView]) -> Surroundings:
        policy = self._queues.policies.get(view.queue)
        lacking = lacking_of(view.needs, [frozenset(agent.capabilities) for agent in crew])
        crew = [agent for agent in crew if lacking or not lacking_of(view.needs, [frozenset(agent.capabilities)])]
        others = any(agent.id != self.agent for agent in crew)
        return Surroundings(
            now=self.clock.now(),
            paused=view.queue in self.store.paused(),
            task_known=others or self.registry.find(view.task) is not None,
            working=bool(crew),
            agents_paused=bool(crew) and all(agent.paused for agent in crew),
            running=self.store.counts().get(view.queue, {}).get(JobState.RUNNING, 0),
            concurrency=policy.concurrency if policy else None,
            rate_limited=(policy.rate_limit or "") if policy and self.store.held_by_rate(view.queue) else "",
            busy=sum(agent.busy for agent in crew),
            slots=sum(agent.concurrency for agent in crew),
            lacking=lacking,
        )


def serving(agent: AgentView, view: JobView) -> bool:
    """Whether an agent is there and takes jobs of the queue and tenant of this one, whatever else the job needs."""
    takes = view.queue in agent.queues and (not agent.tenants or view.tenant in agent.tenants)
    return takes and agent.concurrency > 0 and agent.presence in HERE
