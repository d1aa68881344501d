"""Stopping, resuming and limiting queues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from console.actions.actor import Actor, authorise
from console.context import Console
from engine.kernel.errors import NotFound
from engine.kernel.job import check_name


def pause(console: Console, actor: Actor, queue: str) -> None:
    """No more jobs of ``queue`` are started; running ones end."""
    _known(console, actor, "queue.pause", queue)
    console.engine.pause(queue, by=actor.name)
    console.trail.write(actor, "queue.pause", queue)


def resume(console: Console, actor: Actor, queue: str) -> None:
    """Let ``queue`` go on."""
    _known(console, actor, "queue.resume", queue)
    console.engine.resume(queue, by=actor.name)
    console.trail.write(actor, "queue.resume", queue)


def set_limits(console: Console, actor: Actor, queue: str, limits: Mapping[str, Any]) -> None:
    """Change ``concurrency``, ``rate_limit`` or ``priority`` of ``queue``, for this and every later start."""
    _known(console, actor, "queue.limits", queue)
    console.engine.set_limits(queue, **limits)
    console.trail.write(actor, "queue.limits", queue, limits)


def _known(console: Console, actor: Actor, action: str, queue: str) -> None:
    authorise(actor, action)
    check_name(queue, "queue")
    if all(info.name != queue for info in console.engine.queues()):
        raise NotFound(f"there is no queue {queue!r}")
