"""An engine for one test: in memory, under a clock that stands still, its jobs run by the test's own thread.

Nothing is imitated: jobs go through the real acceptance, store and attempt pipeline; only the threads of workers are
missing, so a test decides when something runs and for how long nothing does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from engine.engine import Engine
from engine.handle import Handle
from engine.kernel.clock import FakeClock
from engine.kernel.events import AttemptEnded, Event, JobEnqueued
from engine.kernel.job import JobState, JobView, band_of
from engine.queue import codec
from engine.queue.policy import QueuePolicy
from engine.queue.task import Task
from engine.storage.base import Store, Want
from engine.storage.memory import MemoryStore
from engine.testing.faults import FaultyStore
from engine.workers.attempt import Runner
from engine.workers.finisher import Begun, Finisher

#: who runs jobs inline
WORKER = "harness/1"
_TIMED = (JobState.SCHEDULED, JobState.RETRYABLE)
_ANY: Any = object()


class Enqueued(msgspec.Struct, frozen=True):
    """A job that was enqueued while the harness stood."""

    id: str
    task: str
    queue: str
    args: dict[str, Any]
    priority: int
    tenant: str
    run_at: float
    metadata: dict[str, Any]


class _AtOnce:
    """What a runner tells of its attempts, written when it comes, by the thread that ran the job; a store that fails, fails
    the test."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._notes: list[Event] = []

    def started(self, job: str, attempt: Begun) -> None:
        """The end says when it started."""

    def said(self, event: Event) -> None:
        """Words go with the end."""
        self._notes.append(event)

    def ended(self, event: AttemptEnded) -> None:
        """An attempt ended."""
        notes, self._notes = self._notes, []
        self._store.finish([event], notes)


class Harness:
    """``with Harness(tasks=["shop.tasks"]) as jobs: …``

    ``engine``, ``clock`` and ``store`` are the real things; the tasks loaded enqueue here until another engine loads them.
    """

    def __init__(self, tasks: Sequence[str | Task[Any, Any]] = (), *, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        memory = MemoryStore(self.clock)
        self.store = FaultyStore(memory, self.clock)
        self._enqueued: list[Enqueued] = []
        memory.bus.subscribe(self._remember)
        self.engine = Engine(store=cast("Store", self.store), clock=self.clock)
        self._finisher = cast("Finisher", _AtOnce(cast("Store", self.store)))
        self._runner: Runner | None = None
        self._policies: dict[str, QueuePolicy] = {}
        for task in tasks:
            if isinstance(task, str):
                self.engine.load_module(task)
            else:
                self.engine.add(task)

    def __enter__(self) -> Harness:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the engine; child processes of tasks end."""
        self.store.heal()
        if self._runner is not None:
            self._runner.close()
        self.engine.stop()

    # --- running ---

    def run(self, most: int = 1_000) -> list[JobView]:
        """Run what may run now, one job after the other, retries and follow-ups that are due included; their views.
        ``AssertionError`` if there is no end after ``most`` attempts."""
        views: list[JobView] = []
        while (view := self._run_one()) is not None:
            views.append(view)
            if len(views) > most:
                raise AssertionError(f"still busy after {most} attempts; the last was {view.task}, now {view.state}")
        return views

    def run_until_idle(self, most: int = 1_000) -> list[JobView]:
        """Run everything, letting time pass for what waits for a time: delays, backoff, snoozes."""
        views = self.run(most)
        while self._waits_for_time():
            self.advance(max(0.001, self.store.promote() or 0.001))
            views += self.run(most)
            if len(views) > most:
                raise AssertionError(f"still busy after {most} attempts; the last was {views[-1].task}")
        return views

    def advance(self, seconds: float) -> None:
        """Let time pass; what becomes due is available then, and not run yet."""
        self.clock.advance(seconds)
        self.store.promote()

    def perform(self, task: Task[Any, Any], *args: Any, **kwargs: Any) -> Any:
        """Enqueue one job, run everything until idle, and return its result.  Raises ``JobFailed``, ``JobCancelled``."""
        handle: Handle = task.enqueue(*args, **kwargs)
        self.run_until_idle()
        return handle.result(timeout=0)

    def _run_one(self) -> JobView | None:
        self.store.promote()
        names = {info.name: 1 for info in self.engine.queues() if not info.paused}
        claim = self.store.claim(Want(names, WORKER, 1))
        if claim is None:
            return None
        job = claim.jobs[0]
        self._running().run(job, claim.token, WORKER)
        return cast("JobView", self.store.get((job.id,))[job.id])

    def _running(self) -> Runner:
        policies = {info.name: policy for info in self.engine.queues() if (policy := self.engine.policy(info.name))}
        if self._runner is None or policies != self._policies:
            if self._runner is not None:
                self._runner.close()
            self._policies = policies
            self._runner = Runner(self.engine.registry, self.engine.app, policies, self._finisher, self.clock)
        return self._runner

    def _waits_for_time(self) -> bool:
        return any(counts.get(state) for counts in self.engine.counts().values() for state in _TIMED)

    # --- asserting ---

    def enqueued(
        self, task: Task[Any, Any] | str | None = None, args: dict[str, Any] | None = None, **facts: Any
    ) -> list[Enqueued]:
        """Jobs enqueued so far that fit: of ``task``, with at least ``args``, and ``facts`` (queue, tenant, priority…)."""
        wanted = None if args is None else msgspec.to_builtins(args, str_keys=True, enc_hook=codec.to_plain)
        if "priority" in facts:
            facts["priority"] = band_of(facts["priority"])
        return [job for job in self._enqueued if _fits(job, task, wanted, facts)]

    def assert_enqueued(
        self,
        task: Task[Any, Any] | str | None = None,
        args: dict[str, Any] | None = None,
        count: int | None = None,
        **facts: Any,
    ) -> list[Enqueued]:
        """Some job (or exactly ``count``) was enqueued that fits; returns them."""
        found = self.enqueued(task, args, **facts)
        if not found if count is None else len(found) != count:
            wish = (
                f"{'a job' if count is None else count} of {_name(task) or 'any task'} with {args or 'any arguments'}"
            )
            raise AssertionError(f"expected {wish} {facts or ''}, found {len(found)}; enqueued were:\n{self._told()}")
        return found

    def assert_not_enqueued(
        self, task: Task[Any, Any] | str | None = None, args: dict[str, Any] | None = None, **facts: Any
    ) -> None:
        """No job was enqueued that fits."""
        self.assert_enqueued(task, args, count=0, **facts)

    def assert_state(self, job: Handle | str, state: JobState | str) -> JobView:
        """A job is in ``state``; returns its view."""
        id_ = job if isinstance(job, str) else job.id
        view = self.engine.views((id_,)).get(id_)
        if view is None or view.state != state:
            why = f": {view.failure.type}: {view.failure.message}" if view is not None and view.failure else ""
            raise AssertionError(f"expected job {id_} to be {state}, it is {view.state if view else 'unknown'}{why}")
        return view

    def assert_completed(self, job: Handle | str, result: Any = _ANY) -> JobView:
        """A job completed, with ``result`` if one is given."""
        view = self.assert_state(job, JobState.COMPLETED)
        got = None if view.result is None else codec.decode_value(view.result)
        if result is not _ANY and got != result:
            raise AssertionError(f"expected job {view.id} to give {result!r}, it gave {got!r}")
        return view

    def assert_failed(self, job: Handle | str, error: type[BaseException] | str = "", message: str = "") -> JobView:
        """A job is dead, of ``error`` whose text contains ``message``."""
        view = self.assert_state(job, JobState.DEAD)
        kind, text = (view.failure.type, view.failure.message) if view.failure else ("", view.reason)
        wanted = error if isinstance(error, str) else error.__name__
        if (wanted and kind != wanted) or message not in text:
            raise AssertionError(
                f"expected job {view.id} to die of {wanted or 'an error'} {message!r}, it died of {kind}: {text}"
            )
        return view

    def _remember(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, JobEnqueued):
                envelope = codec.decode(event.payload)
                self._enqueued.append(
                    Enqueued(
                        event.id, event.task, event.queue, envelope.args, event.priority, event.tenant, event.run_at,
                        envelope.metadata,
                    )
                )  # fmt: skip

    def _told(self) -> str:
        return "\n".join(f"  {job.task} {job.args} on {job.queue}" for job in self._enqueued) or "  none"


def _fits(job: Enqueued, task: Task[Any, Any] | str | None, args: dict[str, Any] | None, facts: dict[str, Any]) -> bool:
    return (
        (task is None or job.task == _name(task))
        and (args is None or all(name in job.args and job.args[name] == value for name, value in args.items()))
        and all(getattr(job, name) == value for name, value in facts.items())
    )


def _name(task: Task[Any, Any] | str | None) -> str:
    return task.name if isinstance(task, Task) else task or ""
