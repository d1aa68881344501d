"""A queue as Huey sees it: a ``Huey`` app whose tasks are Holdfast's and whose storage is the shared store.

Huey executes (hooks, signals, locks, its own exceptions); when a job runs again, for how long it is held and what is
kept of it is Holdfast's, so Huey's retries stay at 0, its requeueing is switched off, and revocation is answered from
the attempt at hand instead of by a look into the store for every job.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import threading
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from huey.api import Huey, Task
from huey.exceptions import CancelExecution, RateLimitExceeded, RetryTask, TaskLockedException

from engine.kernel.errors import Cancel, RetryAfter, Snooze
from engine.storage.base import Store
from engine.storage.huey_facade import HueyFacade

#: seconds until a job is tried again that found a Huey lock taken
LOCKED_DELAY = 1.0
#: a job's revocation key: it has none
NO_KEY = ""
#: the time that Huey is told: jobs reach it when they are due, so it has nothing to compare
_NOW = datetime.datetime(2000, 1, 1)
#: what Huey runs a job in: its time limit is the attempt's matter
_UNLIMITED = contextlib.nullcontext()

_executing = threading.local()


class Executable(Protocol):
    """An attempt, as far as Huey is concerned."""

    def call(self) -> Any:
        """Run the task's function."""

    def revoked(self) -> bool:
        """Whether the job was cancelled before it began."""

    def ended(self, value: Any, error: BaseException | None) -> None:
        """Take the outcome."""


class JobTask(Task):  # type: ignore[misc]
    """One attempt at a job, in the shape in which Huey executes things.

    There is one for every attempt, so it carries only what differs: all else that Huey looks for stands in the class.
    """

    __eq__: ClassVar[Callable[[object, object], bool]] = object.__eq__
    __hash__ = object.__hash__

    def __init__(self, attempt: Executable, job_id: str) -> None:
        self.attempt = attempt
        self.id = job_id

    def execute(self) -> Any:
        """Called by Huey."""
        return self.attempt.call()


def job_task(name: str) -> type[JobTask]:
    """The Huey task class that stands for a Holdfast task in signals and hooks."""
    module, _, function = name.rpartition(".")
    same = vars(Task(id=NO_KEY)) | {"name": function, "revoke_id": NO_KEY, "__module__": module or "holdfast"}
    return type(function, (JobTask,), same)


class QueueApp(Huey):  # type: ignore[misc]
    """One queue.  All queues of an engine share the store."""

    def __init__(self, name: str, store: Store) -> None:
        super().__init__(name, results=False, storage_class=HueyFacade, store=store)

    def run(self, task: JobTask) -> None:
        """Execute an attempt; its outcome reaches ``attempt.ended``, unless it was interrupted."""
        _executing.job = True
        try:
            self.execute(task, _NOW)
        finally:
            _executing.job = False

    def is_revoked(self, task: Any, timestamp: Any = None, peek: bool = True) -> bool:
        """Answered by the attempt, for jobs; by the store, for tasks declared with Huey itself."""
        if isinstance(task, JobTask):
            return task.attempt.revoked()
        return bool(super().is_revoked(task, timestamp, peek))

    def delete(self, key: str) -> Any:
        """See ``Huey.delete``; nothing is asked of the store for a job, which has no revocation key to clear."""
        return None if key == NO_KEY else super().delete(key)

    def _timeout_context(self, task: Any) -> Any:
        return _UNLIMITED if isinstance(task, JobTask) else super()._timeout_context(task)

    def _emit(self, signal: str, task: Any, *args: Any, **kwargs: Any) -> None:
        receivers = self._signal.receivers
        if receivers["any"] or receivers.get(signal):
            super()._emit(signal, task, *args, **kwargs)

    def _run_post_execute(self, task: Any, task_value: Any, exception: BaseException | None) -> None:
        if isinstance(task, JobTask):
            task.attempt.ended(task_value, None if exception is None else translated(exception))
        if self._post_execute:
            super()._run_post_execute(task, task_value, exception)

    def _requeue_task(self, task: Any, timestamp: Any, retry_eta: Any = None) -> None:
        if not isinstance(task, JobTask):
            super()._requeue_task(task, timestamp, retry_eta)


def translated(error: BaseException) -> BaseException:
    """Huey's own signals in Holdfast's words; everything else as it is."""
    if isinstance(error, CancelExecution):
        return Cancel(str(error) or "cancelled by the task")
    if isinstance(error, RetryTask):
        return RetryAfter(error.delay or 0.0, str(error))
    if isinstance(error, RateLimitExceeded):
        return Snooze(error.delay, str(error))
    if isinstance(error, TaskLockedException):
        return Snooze(LOCKED_DELAY, str(error))
    return error


class _Quiet(logging.Filter):
    """Drops what Huey logs about the attempts of jobs: their outcome is an event, kept with the job."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(_executing, "job", False)


def quiet_huey() -> None:
    """Keep Huey from writing a line and a traceback per failed job."""
    logger = logging.getLogger("huey")
    if not any(isinstance(known, _Quiet) for known in logger.filters):
        logger.addFilter(_Quiet())
