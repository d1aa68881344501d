"""What a running task says, kept within bounds and turned into events.

Progress is written at most ten times a second (the last word always); log lines are gathered and bounded in number and
size per attempt; outputs are bounded in number.  Nothing here blocks the task.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from engine.kernel.clock import Clock
from engine.kernel.errors import ValidationError
from engine.kernel.events import Event, JobLogged, JobOutput, JobProgressed
from engine.kernel.job import Job

#: per attempt
LINES = 1_000
LINE_LENGTH = 2_000
OUTPUTS = 100
#: seconds between two progress events, and between two batches of lines
INTERVAL = 0.1


class AttemptSink:
    """Implements ``engine.queue.context.Sink`` for one attempt."""

    __slots__ = (
        "_attempt", "_clock", "_id", "_lines", "_lines_at", "_lines_left", "_lock", "_outputs_left", "_progress",
        "_progress_at", "_queue", "_say", "_token", "_wished",
    )  # fmt: skip

    def __init__(
        self, job: Job, token: int, say: Callable[[Event], None], wished: Callable[[], bool], clock: Clock
    ) -> None:
        self._id = job.id
        self._attempt = job.attempt
        self._queue = job.queue
        self._token = token
        self._say = say
        self._wished = wished
        self._clock = clock
        self._lock = threading.Lock()
        self._lines: list[tuple[float, str, str]] = []
        self._lines_left = LINES
        self._lines_at = 0.0
        self._outputs_left = OUTPUTS
        self._progress: JobProgressed | None = None
        self._progress_at = 0.0

    def progress(self, value: float, message: str) -> None:
        """How far the job is, 0–1."""
        with self._lock:
            self._progress = JobProgressed(
                self._clock.now(), self._id, self._attempt, value, message[:LINE_LENGTH], self._queue, self._token
            )
            if self._clock.monotonic() - self._progress_at >= INTERVAL:
                self._tell_progress()

    def line(self, level: int, text: str) -> None:
        """One log line."""
        with self._lock:
            if self._lines_left <= 0:
                return
            self._lines_left -= 1
            if not self._lines_left:
                text = f"(no more than {LINES} lines are kept of an attempt)"
            self._lines.append((self._clock.now(), logging.getLevelName(level).lower(), text[:LINE_LENGTH]))
            if self._clock.monotonic() - self._lines_at >= INTERVAL:
                self._tell_lines()

    def output(self, name: str, value: bytes) -> None:
        """An intermediate output, as JSON."""
        with self._lock:
            if self._outputs_left <= 0:
                raise ValidationError(f"output.{name}: an attempt may give at most {OUTPUTS} outputs", f"output.{name}")
            self._outputs_left -= 1
            self._say(
                JobOutput(self._clock.now(), self._id, self._attempt, name[:100], value, self._queue, self._token)
            )

    def cancelled(self) -> bool:
        """Whether someone asked the job to stop."""
        return self._wished()

    def flush(self) -> None:
        """Tell what was kept back."""
        with self._lock:
            self._tell_progress()
            self._tell_lines()

    def _tell_progress(self) -> None:
        if self._progress is not None:
            self._say(self._progress)
            self._progress = None
            self._progress_at = self._clock.monotonic()

    def _tell_lines(self) -> None:
        if self._lines:
            self._say(JobLogged(self._clock.now(), self._id, self._attempt, self._lines, self._queue, self._token))
            self._lines = []
            self._lines_at = self._clock.monotonic()
