"""Runs a task's function by a plain call: a real ``Context`` whose words land in lists."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from engine import Context
from engine.kernel.job import Job, JobState, new_id
from engine.queue.codec import Envelope


class Heard:
    """Takes what a task says while it runs; ``cancel_when`` is asked whether someone wants it to stop."""

    def __init__(self, cancel_when: Callable[[Heard], bool] = lambda heard: False) -> None:
        self.steps: list[tuple[float, str]] = []
        self.lines: list[str] = []
        self._cancel_when = cancel_when

    def progress(self, value: float, message: str) -> None:
        self.steps.append((value, message))

    def line(self, level: int, text: str) -> None:
        self.lines.append(f"{logging.getLevelName(level)} {text}")

    def output(self, name: str, value: bytes) -> None:
        self.lines.append(f"OUTPUT {name} {value!r}")

    def cancelled(self) -> bool:
        return self._cancel_when(self)


def context(task: str, heard: Heard | None = None, **facts: Any) -> Context:
    """The context of a first attempt at a job of ``task``."""
    job = Job(
        id=facts.get("id") or new_id(), queue="tests", task=task, payload=b"{}", priority=5, tenant="", created_at=0.0,
        run_at=0.0, expires_at=0.0, max_attempts=3, timeout=0.0, unique="", state=JobState.RUNNING,
        attempt=facts.get("attempt", 1),
    )  # fmt: skip
    return Context(job, Envelope(v=1, args={}, metadata={}, correlation_id=""), heard or Heard())
