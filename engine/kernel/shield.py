"""Keeps the interrupt of a thread from arriving in the middle of the house's own work.

A task that runs in a thread is interrupted by an exception raised in it from outside, between any two lines — also inside
an ``enqueue`` that the task called, where it would leave a store half changed.  What such a call must not be torn in is
marked ``shielded``: an interrupt that comes meanwhile is raised when the call is over.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Guard(Protocol):
    """Who holds back the interrupts of one thread."""

    def enter(self) -> None:
        """Hold interrupts back; one that is on its way arrives before this returns."""

    def leave(self) -> None:
        """Let interrupts through; raises the one that was held back."""


_here = threading.local()


def set_guard(guard: Guard | None) -> None:
    """Have ``guard`` asked by what this thread calls from now on."""
    _here.guard = guard


def shielded(func: Callable[P, R]) -> Callable[P, R]:
    """A function that no interrupt of its thread tears."""

    @functools.wraps(func)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        guard: Guard | None = getattr(_here, "guard", None)
        if guard is None:
            return func(*args, **kwargs)
        guard.enter()
        try:
            return func(*args, **kwargs)
        finally:
            guard.leave()

    return call
