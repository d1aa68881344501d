"""What a running task knows about its job, and how it speaks while it runs.

A task gets one if its first parameter is annotated ``Context``.  Everything it says goes to the attempt's ``Sink``, which
decides about bounds, batching and durability; in a child process the sink is a pipe.  A context is used by one attempt.
"""

from __future__ import annotations

import logging
from typing import Any, ClassVar, Protocol

from engine.kernel.errors import Cancel, ValidationError
from engine.kernel.job import Job, Metadata
from engine.queue.codec import Envelope, encode_value


class Sink(Protocol):
    """Where an attempt's words go."""

    def progress(self, value: float, message: str) -> None:
        """How far the job is, 0–1."""

    def line(self, level: int, text: str) -> None:
        """One log line, with a level of ``logging``."""

    def output(self, name: str, value: bytes) -> None:
        """An intermediate output, as JSON."""

    def cancelled(self) -> bool:
        """Whether someone asked the job to stop."""


class JobLog:
    """The job's own log; its lines are kept with the job and shown on its page."""

    __slots__ = ("_sink",)

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def debug(self, message: object, *args: object) -> None:
        self.log(logging.DEBUG, message, *args)

    def info(self, message: object, *args: object) -> None:
        self.log(logging.INFO, message, *args)

    def warning(self, message: object, *args: object) -> None:
        self.log(logging.WARNING, message, *args)

    def error(self, message: object, *args: object) -> None:
        self.log(logging.ERROR, message, *args)

    def log(self, level: int, message: object, *args: object) -> None:
        """Write a line; ``args`` are filled in as ``logging`` does, and never make it fail."""
        text = str(message)
        if args:
            try:
                text = text % args
            except (TypeError, ValueError):
                text = f"{text} {args!r}"
        self._sink.line(level, text)


class Context:
    """The job that is running.  All facts are read-only."""

    #: how a task's signature is known to ask for a context
    is_job_context: ClassVar[bool] = True

    __slots__ = ("_envelope", "_job", "_sink", "deadline", "log")

    def __init__(self, job: Job, envelope: Envelope, sink: Sink, deadline: float | None = None) -> None:
        self._job = job
        self._envelope = envelope
        self._sink = sink
        #: wall time at which the attempt is stopped, ``None`` for no limit
        self.deadline = deadline
        self.log = JobLog(sink)

    @property
    def job_id(self) -> str:
        return self._job.id

    @property
    def task(self) -> str:
        return self._job.task

    @property
    def queue(self) -> str:
        return self._job.queue

    @property
    def tenant(self) -> str:
        return self._job.tenant

    @property
    def attempt(self) -> int:
        """Counted from 1; attempts that were snoozed, handed back or rescued do not count."""
        return self._job.counted

    @property
    def max_attempts(self) -> int:
        return self._job.max_attempts + self._job.extra

    @property
    def metadata(self) -> Metadata:
        return self._envelope.metadata

    @property
    def correlation_id(self) -> str:
        return self._envelope.correlation_id

    @property
    def cancelled(self) -> bool:
        """Whether someone asked the job to stop.  A long task looks at it now and then."""
        return self._sink.cancelled()

    def check_cancelled(self) -> None:
        """Raise ``Cancel`` if someone asked the job to stop."""
        if self._sink.cancelled():
            raise Cancel("stopped at a wish")

    def progress(self, value: float, message: str = "") -> None:
        """Tell how far the job is, 0–1; values outside are cut.  Raises ``ValidationError`` on what is no number."""
        if not isinstance(value, (int, float)) or value != value:
            raise ValidationError(f"progress: expected a number from 0 to 1, got {type(value).__name__}", "progress")
        self._sink.progress(min(1.0, max(0.0, float(value))), str(message))

    def output(self, name: str, value: Any) -> None:
        """Give an intermediate output; the last of each ``name`` counts.  Raises ``ValidationError`` if it is no JSON."""
        self._sink.output(str(name), encode_value(value, f"output.{name}"))
