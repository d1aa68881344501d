"""Holdfast's engine: declare tasks, enqueue jobs, run workers.  Usable alone; the outside world imports from here.

What is named here is imported when it is first used, so that a process that needs one room does not pay for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.kernel.door import door

if TYPE_CHECKING:
    from engine.engine import Engine
    from engine.handle import Handle, Load, RunningJob
    from engine.kernel.errors import (
        Cancel,
        Conflict,
        Discard,
        HoldfastError,
        JobCancelled,
        JobFailed,
        NotFound,
        ResultTimeout,
        RetryAfter,
        SettingsError,
        Snooze,
        Stopped,
        StoreDamaged,
        StoreFull,
        StoreOwned,
        UnknownTask,
        ValidationError,
    )
    from engine.kernel.job import JobState, JobView
    from engine.kernel.settings import Settings
    from engine.queue.book import QueueInfo
    from engine.queue.context import Context
    from engine.queue.request import JobRequest
    from engine.queue.retry import Retry
    from engine.queue.task import Task, task
    from engine.queue.waiting import Why
    from engine.remote import Client, client

#: where each name comes from
_ROOMS = {
    "engine.engine": ("Engine",),
    "engine.handle": (
        "Handle",
        "Load",
        "RunningJob",
    ),
    "engine.kernel.errors": (
        "Cancel",
        "Conflict",
        "Discard",
        "HoldfastError",
        "JobCancelled",
        "JobFailed",
        "NotFound",
        "ResultTimeout",
        "RetryAfter",
        "SettingsError",
        "Snooze",
        "Stopped",
        "StoreDamaged",
        "StoreFull",
        "StoreOwned",
        "UnknownTask",
        "ValidationError",
    ),
    "engine.kernel.job": (
        "JobState",
        "JobView",
    ),
    "engine.kernel.settings": ("Settings",),
    "engine.queue.book": ("QueueInfo",),
    "engine.queue.context": ("Context",),
    "engine.queue.request": ("JobRequest",),
    "engine.queue.retry": ("Retry",),
    "engine.queue.task": (
        "Task",
        "task",
    ),
    "engine.queue.waiting": ("Why",),
    "engine.remote": (
        "Client",
        "client",
    ),
}

__all__ = [
    "Cancel",
    "Client",
    "Conflict",
    "Context",
    "Discard",
    "Engine",
    "Handle",
    "HoldfastError",
    "JobCancelled",
    "JobFailed",
    "JobRequest",
    "JobState",
    "JobView",
    "Load",
    "NotFound",
    "QueueInfo",
    "ResultTimeout",
    "Retry",
    "RetryAfter",
    "RunningJob",
    "Settings",
    "SettingsError",
    "Snooze",
    "Stopped",
    "StoreDamaged",
    "StoreFull",
    "StoreOwned",
    "Task",
    "UnknownTask",
    "ValidationError",
    "Why",
    "client",
    "task",
]

__getattr__ = door(__name__, _ROOMS)
