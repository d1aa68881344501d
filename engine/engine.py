"""The engine: queues, tasks and workers of one process over one store.  The public face of the package.

It composes the parts and holds none of their rules.  Without ``home`` jobs live in memory; with one the store named by
``STORE`` keeps them, sealed, on disk; with ``redis`` too the process is one of a fleet.  ``start`` runs workers; an engine
that is not started can still enqueue.
"""

from __future__ import annotations

import importlib
import logging
import os
import platform
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from engine.fleet import identity
from engine.fleet.base import Fleet
from engine.fleet.make import fleet_of
from engine.handle import Handle, Waiters
from engine.kernel import events as ev
from engine.kernel.bus import Bus
from engine.kernel.clock import Clock, SystemClock
from engine.kernel.errors import Conflict, HoldfastError, Stopped
from engine.kernel.job import JobState, JobView
from engine.kernel.settings import Settings
from engine.kernel.shield import shielded
from engine.queue.acceptance import Acceptance
from engine.queue.app import QueueApp, quiet_huey
from engine.queue.book import QueueBook, QueueInfo
from engine.queue.policy import QueuePolicy
from engine.queue.queue import Queue
from engine.queue.registry import Registry
from engine.queue.request import JobRequest
from engine.queue.task import DEFAULT_QUEUE, Task
from engine.steered import Steered
from engine.storage.base import Accepted, Store
from engine.storage.memory import MemoryStore
from engine.workers.attempt import Runner
from engine.workers.endings import NO_TASK
from engine.workers.feeder import Feeder
from engine.workers.finisher import Finisher
from engine.workers.pool import Pool

log = logging.getLogger("holdfast.engine")

#: who makes the store for a home, as ``module:function(settings, clock, bus)``; named, not imported: it stands above us
STORE = "airgap.opening:open_store"
#: seconds in which ``stop`` gets everything down
STOP_SECONDS = 4.5
#: scheduled jobs of a queue that are looked through at the start for such whose task was missing
ORPHANS = 10_000


def _settings(home: str | Path | None, redis: str) -> Settings:
    return Settings(redis=redis) if home is None else Settings(home=Path(home), redis=redis)


class Engine(Steered):
    """Runs jobs.  Raises ``SettingsError``, ``StoreOwned``, ``StoreDamaged`` when it cannot be made."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        home: str | Path | None = None,
        redis: str = "",
        tasks: Sequence[str] = (),
        store: Store | None = None,
        clock: Clock | None = None,
    ) -> None:
        durable = settings is not None or home is not None or bool(redis)
        self.settings = settings or _settings(home, redis)
        self.clock: Clock = clock or SystemClock()
        self.bus = Bus()
        self._home = self.settings.home if durable and store is None else None
        self.agent = identity.known_id(self._home) if self._home else identity.fresh_id()
        self.registry = Registry()
        self.store: Store = store or (self._durable_store() if durable else MemoryStore(self.clock, self.bus))
        self._bus_of_store()
        settings = self.settings
        self._feeder = Feeder(
            self.store,
            self.agent,
            capabilities=settings.capabilities,
            tenants=settings.tenants,
            serve=settings.serve,
        )
        self._queues = QueueBook(self.store, self._feeder.serve)
        self._lock = threading.Lock()
        self._waiters = Waiters(self.bus, self.clock, getattr(self.store, "follow_ends", None))
        self._acceptance = Acceptance(self.registry, self._queues.policies, self.clock, self.settings.max_payload)
        self._pool: Pool | None = None
        self._runner: Runner | None = None
        self._stopped = False
        self._ended = threading.Event()
        self.fleet: Fleet = fleet_of(self)
        self.bus.subscribe(self._pass_on_wishes)
        self._open(tasks)

    def _durable_store(self) -> Store:
        module, _, function = STORE.partition(":")
        make = getattr(importlib.import_module(module), function)
        store: Store = make(self.settings, self.clock, self.bus)
        return store

    def _bus_of_store(self) -> None:
        self.bus = getattr(self.store, "bus", self.bus)

    def _open(self, tasks: Sequence[str]) -> None:
        self.store.open()
        try:
            if self._home:
                identity.keep_id(self._home, self.agent)
            self._queues.open(self.settings.queues)
            for name in self.settings.serve:
                self._queues.define(name)
            for module in (*self.settings.tasks, *tasks):
                self.load_module(module)
        except BaseException:
            self.store.close()
            raise

    # --- tasks and queues ---

    def load_module(self, module: str) -> list[Task[Any, Any]]:
        """Import a module and take in its tasks.  Raises ``SettingsError``."""
        loaded = self.registry.load_module(module)
        for task in loaded:
            self._adopt(task)
        return loaded

    def add(self, task: Task[Any, Any]) -> Task[Any, Any]:
        """Take in one task.  Raises ``DeclarationError`` if its name is taken."""
        self.registry.register(task)
        self._adopt(task)
        return task

    def _adopt(self, task: Task[Any, Any]) -> None:
        task.bind(self)
        self.queue(task.spec.queue)

    @shielded
    def queue(self, name: str = DEFAULT_QUEUE, **options: Any) -> Queue:
        """The queue of that name, made if it is new; options given (``concurrency``, ``rate_limit``, ``priority``,
        ``retry``, ``retention``) are set.  Raises ``ValidationError``."""
        self._queues.define(name, **options)
        return Queue(self, name)

    @shielded
    def set_limits(self, name: str, **limits: Any) -> None:
        """Set options of a queue as ``queue`` does, for this and every later start: they stand above the settings."""
        self._queues.set_limits(name, limits)

    def app(self, name: str) -> QueueApp:
        """The Huey app of a queue, for Huey's own hooks and signals."""
        return self._queues.app(name)

    def policy(self, name: str) -> QueuePolicy | None:
        """What is set for a queue; ``None`` if there is no such queue."""
        return self._queues.policies.get(name)

    @shielded
    def queues(self) -> list[QueueInfo]:
        """All queues, by name."""
        return self._queues.infos()

    @shielded
    def pause(self, queue: str, by: str = "") -> None:
        """Start no more jobs of a queue; those that run go on.  Survives restarts."""
        self.store.pause(self.queue(queue).name, True, by)

    @shielded
    def resume(self, queue: str, by: str = "") -> None:
        """Start jobs of a queue again."""
        self.store.pause(self.queue(queue).name, False, by)

    # --- jobs in ---

    def enqueue(self, task: str, args: dict[str, Any] | None = None, **options: Any) -> Handle:
        """Enqueue one job by the name of its task.  Raises ``UnknownTask``, ``ValidationError``, ``StoreFull``, ``Stopped``."""
        return self.enqueue_many((JobRequest(task, args or {}, **options),))[0]

    def enqueue_many(self, requests: Iterable[JobRequest]) -> list[Handle]:
        """Enqueue all or none; raises at the first that is wrong."""
        accept = self._acceptance.accept
        jobs = [accept(request) for request in requests]
        return [Handle(self, accepted.id, accepted.new) for accepted in self._put(jobs)]

    def submit(self, requests: Sequence[JobRequest]) -> list[Handle | HoldfastError]:
        """Enqueue what is right in one commit; for each request, in order, its handle or what is wrong with it."""
        answers: list[Handle | HoldfastError] = []
        jobs: list[ev.JobEnqueued] = []
        places: list[int] = []
        for place, request in enumerate(requests):
            try:
                jobs.append(self._acceptance.accept(request))
                places.append(place)
                answers.append(Stopped("not reached"))
            except HoldfastError as error:
                answers.append(error)
        for place, accepted in zip(places, self._put(jobs), strict=True):
            answers[place] = Handle(self, accepted.id, accepted.new)
        return answers

    @shielded
    def _put(self, jobs: Sequence[ev.JobEnqueued]) -> list[Accepted]:
        if self._stopped:
            raise Stopped("the engine is stopping and takes no more jobs; try again when it is up")
        for name in {job.queue for job in jobs}:
            self._queues.define(name)
        return self.store.put(jobs) if jobs else []

    # --- jobs that are there ---

    def job(self, id_: str) -> Handle:
        """A handle on a job; whether it exists is told by its ``view``."""
        return Handle(self, id_, new=False)

    @shielded
    def views(self, ids: Iterable[str]) -> dict[str, JobView]:
        """Live and lately ended jobs by id."""
        return self.store.get(ids)

    @shielded
    def cancel(self, ids: Iterable[str], by: str = "") -> dict[str, JobState]:
        """Cancel waiting jobs and ask running ones to stop; answers the state each was found in."""
        return self.store.cancel(ids, by)

    @shielded
    def retry(self, ids: Iterable[str], by: str = "", over: float = 0.0) -> set[str]:
        """Make dead, retryable and scheduled jobs available, spread over ``over`` seconds; returns the ids moved."""
        return self.store.retry(ids, by, over)

    @shielded
    def delete(self, ids: Iterable[str], by: str = "") -> set[str]:
        """Remove jobs that are not running, with their history; returns the ids removed."""
        ids = list(ids)
        running = [id_ for id_, view in self.views(ids).items() if view.state == JobState.RUNNING]
        if running and len(ids) == 1:
            raise Conflict(f"job {running[0]} is running; cancel it first")
        return self.store.delete(ids, by)

    def wait_for(self, id_: str, timeout: float | None) -> JobView | None:
        """The job's view once it has ended; ``None`` if it has not within ``timeout`` seconds, or is unknown."""
        return self._waiters.wait(id_, timeout, lambda: self.store.get((id_,)).get(id_), self.sees_only_some)

    def sees_only_some(self) -> bool:
        """Whether there may be jobs that the store cannot see now: while it is cut off from those of the fleet."""
        return bool(getattr(self.store, "partial", False))

    def _pass_on_wishes(self, events: Sequence[ev.Event]) -> None:
        for event in events:
            if type(event) is ev.CancelRequested and self._pool is not None:
                self._pool.wish(event.id)

    # --- looking ---

    @shielded
    def counts(self) -> dict[str, dict[str, int]]:
        """queue -> state -> jobs."""
        return self.store.counts()

    # --- life ---

    def start(self) -> None:
        """Run workers in this process; harmless when they run."""
        with self._lock:
            if self._pool is not None:
                return
            if self._stopped:
                raise Stopped("this engine was stopped; make a new one")
            quiet_huey()
            finisher = Finisher(self.store, self._feeder, self.clock)
            self._runner = Runner(self.registry, self._queues.app, self._queues.policies, finisher, self.clock)
            app, workers = self._queues.app(DEFAULT_QUEUE), self.settings.workers
            self._pool = Pool(app, self.store, self._feeder, finisher, self._runner, workers, self.clock)
        self.store.record([ev.AgentStarted(self.clock.now(), self.agent, self._info())])
        self._wake_orphans()
        self._pool.start()
        self.fleet.start()

    def _wake_orphans(self) -> None:
        """Jobs that were put off because their task was missing need not wait longer if it is here now."""
        for queue, counts in self.store.counts().items():
            if counts.get(JobState.SCHEDULED):
                soonest = self.store.peek(queue, ORPHANS, JobState.SCHEDULED)
                known = [
                    view.id for view in soonest if view.reason.startswith(NO_TASK) and self.registry.find(view.task)
                ]
                self.store.retry(known, by="engine")

    def _info(self) -> dict[str, str | int | float]:
        return {
            "host": platform.node(),
            "pid": os.getpid(),
            "version": identity.version(),
            "fleet": self.fleet.name,
            "name": self.settings.agent_name or self.agent,
            "node": str(getattr(self.store, "node", "")),
            "capabilities": ",".join(self.settings.capabilities),
            "concurrency": self.settings.workers,
            "python": platform.python_version(),
        }

    @shielded
    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Take no more jobs, let running ones end for most of ``timeout`` seconds, hand the others back, close the store."""
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
            pool = self._pool
        try:
            self.fleet.stop()
            if pool is not None:
                pool.shut(timeout, ev.AgentStopped(self.clock.now(), self.agent))
        finally:
            try:
                self.store.close()
            finally:
                self._waiters.close()
                self._ended.set()

    def run(self) -> None:
        """Run workers until ``stop`` is called from elsewhere, or Ctrl-C."""
        self.start()
        try:
            self._ended.wait()
        except KeyboardInterrupt:
            log.info("stopping")
        finally:
            self.stop()

    def __enter__(self) -> Engine:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
