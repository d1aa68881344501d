"""Waiting in tests: for a condition, with a deadline, never for a span of time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_pause = threading.Event()


def until(condition: Callable[[], T], seconds: float = 30.0, what: str = "") -> T:
    """The first true value of ``condition``; fails the test after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {seconds:g} s: {what or condition}")
        _pause.wait(0.01)
