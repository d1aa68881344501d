"""One attempt at a job, from the claim to its end.

A pipeline of small steps over one value: begin → execute (through Huey) → decide (``endings``) → hand the end to the finisher.
A crash before the end is written repeats the attempt; one after it changes nothing, because ends are fenced by the token.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from engine.kernel import events as ev
from engine.kernel.clock import Clock
from engine.kernel.errors import Cancel, HoldfastError
from engine.kernel.faults import reached
from engine.kernel.job import Job
from engine.queue.app import JobTask, QueueApp, job_task
from engine.queue.context import Context
from engine.queue.policy import QueuePolicy
from engine.queue.registry import Registry
from engine.queue.task import TaskSpec
from engine.workers.deadlines import Deadlines
from engine.workers.endings import Endings
from engine.workers.finisher import Finisher
from engine.workers.isolation import Body, Loop, LoopBody, ThreadBody
from engine.workers.processes import Children, ProcessBody
from engine.workers.sink import AttemptSink

#: seconds below which an attempt's CPU time is not measured
BRIEF = 0.001


class TaskExit(HoldfastError):
    """A task called ``sys.exit`` or raised what would end its thread; it ends the attempt, not the worker."""


class Interrupted(KeyboardInterrupt):
    """The engine stops and takes the job out of the task's hands; Huey tells it from an error."""


class Attempt:
    """What is known of one attempt while it runs.  Implements ``engine.queue.app.Executable`` and ``finisher.Begun``."""

    __slots__ = ("body", "error", "finished", "job", "number", "sink", "spec", "started_at", "token", "value",
                 "wish", "worker")  # fmt: skip

    def __init__(self, job: Job, token: int, spec: TaskSpec, worker: str, started_at: float) -> None:
        self.job = job
        self.token = token
        self.number = job.attempt
        self.spec = spec
        self.worker = worker
        self.started_at = started_at
        self.body: Body | None = None
        self.sink: AttemptSink | None = None
        self.value: Any = None
        self.error: BaseException | None = None
        self.finished = False
        #: someone asked it to stop
        self.wish = False

    def start(self) -> ev.JobStarted:
        """See ``engine.workers.finisher.Begun``."""
        job = self.job
        return ev.JobStarted(self.started_at, job.id, self.token, self.number, self.worker, job.queue)

    def call(self) -> Any:
        """Run the task's function."""
        assert self.body is not None
        try:
            return self.body.run()
        except (Exception, Interrupted):
            raise
        except SystemExit as error:
            raise TaskExit(f"the task called sys.exit({error.code!r})") from None
        except BaseException as error:
            raise TaskExit(f"the task raised {type(error).__name__}, which would end its worker: {error}") from error

    def revoked(self) -> bool:
        """Whether the job was cancelled before it began."""
        if self.wish or self.job.cancelling:
            self.ended(None, Cancel(ev.REVOKED))
            return True
        return False

    def ended(self, value: Any, error: BaseException | None) -> None:
        """Take the outcome from Huey."""
        self.value = value
        self.error = error
        self.finished = True

    def wished(self) -> bool:
        """Whether someone asked the job to stop; asked by the task."""
        return self.wish or self.job.cancelling


class Runner:
    """Runs attempts; shared by all workers of a process."""

    def __init__(
        self,
        registry: Registry,
        app: Callable[[str], QueueApp],
        policies: Mapping[str, QueuePolicy],
        finisher: Finisher,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._app = app
        self._finisher = finisher
        self._clock = clock
        self.endings = Endings(policies, clock)
        self._loop = Loop()
        self._children = Children()
        self._deadlines = Deadlines(clock)
        self._task_classes: dict[str, type[JobTask]] = {}
        #: tasks whose last run was so short that reading the CPU clock would cost more than it tells
        self._brief: set[str] = set()
        #: worker's name -> what it runs
        self.running: dict[str, Attempt] = {}

    def run(self, job: Job, token: int, worker: str) -> float:
        """Run one attempt and hand over its end; returns seconds of running."""
        spec = self._registry.find(job.task)
        if spec is None:
            self._finisher.ended(self.endings.no_task(job, token, worker))
            return 0.0
        attempt = Attempt(job, token, spec, worker, self._clock.now())
        self._finisher.started(job.id, attempt)
        self.running[worker] = attempt
        reached("attempt.after_start")
        cpu = -1.0 if job.task in self._brief else time.thread_time()
        began = self._clock.monotonic()
        try:
            self._execute(attempt)
            duration = self._clock.monotonic() - began
            reached("attempt.before_finish")
            cpu = cpu if cpu < 0 else time.thread_time() - cpu
            self._finisher.ended(self.endings.of(attempt, duration, cpu))
        finally:  # not before the end is handed over, so that its lease is renewed all the time
            self.running.pop(worker, None)
        if (duration < BRIEF) is not (job.task in self._brief):
            self._learn(job.task, duration)
        return duration

    def _learn(self, task: str, duration: float) -> None:
        if duration < BRIEF:
            self._brief.add(task)
        else:
            self._brief.discard(task)

    def _execute(self, attempt: Attempt) -> None:
        try:
            attempt.body = self._body(attempt)
        except Exception as error:  # whatever is wrong with its arguments is the job's matter, not the worker's
            attempt.ended(None, error)
            return
        job, name = attempt.job, attempt.spec.name
        task = (self._task_classes.get(name) or self._task_class(name))(attempt, job.id)
        if job.timeout:
            self._deadlines.watch(attempt, job.timeout)
            try:
                self._app(job.queue).run(task)
            finally:
                self._deadlines.unwatch(attempt)
        else:
            self._app(job.queue).run(task)
        if attempt.sink is not None:
            attempt.sink.flush()

    def _body(self, attempt: Attempt) -> Body:
        job, spec, validator = attempt.job, attempt.spec, attempt.spec.validator
        deadline = self._clock.now() + job.timeout if job.timeout else 0.0
        if spec.isolation == "process":
            return ProcessBody(job, spec, self._sink(attempt), self._children, deadline)
        envelope, args = validator.open(job.payload)
        call = partial(spec.func, **args)
        if validator.wants_context:
            call = partial(call, Context(job, envelope, self._sink(attempt), deadline or None))
        return LoopBody(call, self._loop) if spec.isolation == "loop" else ThreadBody(call)

    def _sink(self, attempt: Attempt) -> AttemptSink:
        attempt.sink = AttemptSink(attempt.job, attempt.token, self._finisher.said, attempt.wished, self._clock)
        return attempt.sink

    def _task_class(self, name: str) -> type[JobTask]:
        found = self._task_classes[name] = job_task(name)
        return found

    # --- wishes from outside ---

    def wish(self, job_id: str) -> None:
        """Someone asked a job to stop: its task is told, and ended where its isolation allows."""
        for attempt in list(self.running.values()):
            if attempt.job.id == job_id:
                attempt.wish = attempt.job.cancelling = True
                if attempt.body is not None and not isinstance(attempt.body, ThreadBody):
                    attempt.body.interrupt(Cancel(ev.UNWANTED))

    def flush_words(self) -> None:
        """Tell what running tasks said and kept back."""
        for attempt in list(self.running.values()):
            if attempt.sink is not None:
                attempt.sink.flush()

    def interrupt_all(self) -> list[Attempt]:
        """The engine stops: take every job out of its task's hands; returns those attempts."""
        running = list(self.running.values())
        for attempt in running:
            attempt.wish = True
            if attempt.body is not None:
                attempt.body.interrupt(Interrupted("the engine stopped"))
        return running

    def close(self) -> None:
        """Let go of the loop and the processes."""
        self._deadlines.stop()
        self._children.close()
        self._loop.stop()
