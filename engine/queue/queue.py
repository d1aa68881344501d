"""A queue as a program sees it: a name, and tasks that go there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from engine.queue.task import Task, declare


class Adopter(Protocol):
    """What a queue needs of its engine."""

    def add(self, task: Task[Any, Any]) -> Task[Any, Any]:
        """Take in a task."""

    def pause(self, queue: str, by: str = "") -> None:
        """Start no more jobs of a queue."""

    def resume(self, queue: str, by: str = "") -> None:
        """Start jobs of a queue again."""


class Queue:
    """One queue of an engine."""

    __slots__ = ("_engine", "name")

    def __init__(self, engine: Adopter, name: str) -> None:
        self._engine = engine
        self.name = name

    def __repr__(self) -> str:
        return f"<queue {self.name}>"

    def task(self, func: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """Declare a task that goes to this queue; takes the options of ``engine.task``."""
        if func is not None:
            return self._engine.add(declare(func, queue=self.name))
        return lambda function: self._engine.add(declare(function, queue=self.name, **options))

    def pause(self, by: str = "") -> None:
        """Start no more of its jobs."""
        self._engine.pause(self.name, by)

    def resume(self, by: str = "") -> None:
        """Start its jobs again."""
        self._engine.resume(self.name, by)
