"""Named fault points: places where a test may make the process die or an operation fail.

Every step that persists calls ``reached("name")``.  Nothing happens unless the point is armed, either by a test in the
same process (``arm``) or through ``HOLDFAST_FAULT=name[:n][,…]`` for a child that is to be killed at its n-th passage.
``POINTS`` lists them all, so that ``tests/crash`` can walk through every one.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

#: name -> what has just happened, or is about to, where it stands
POINTS: dict[str, str] = {
    "put.before_append": "a job was validated, nothing is written",
    "commit.before_write": "events are encoded and sealed, the segment is not written",
    "commit.after_write": "the segment is on disk, nobody has been told",
    "claim.after_commit": "jobs are claimed on disk, none has started",
    "attempt.after_start": "a task is about to run",
    "attempt.before_finish": "a task has returned, its outcome is only in memory",
    "finish.after_commit": "outcomes are on disk, waiters have not been told",
    "checkpoint.before_write": "the live state is encoded, no chunk is written",
    "checkpoint.after_chunk": "some chunks are written, the checkpoint is not complete",
    "checkpoint.after_head": "the checkpoint counts, old segments are not trimmed",
    "trim.after_delete": "some old segments are deleted",
    "rotate.after_key": "a new data key is in the ring, nothing is sealed with it",
    "ship.before_send": "events are chosen and chained, Redis has not heard of them",
    "ship.after_send": "Redis has answered, nothing here knows",
    "resync.after_marks": "an epoch has begun and Redis has said where it stands, nothing is sent",
    "resync.after_keep": "all is sent and written down, the link is not back yet",
    "recorder.before_commit": "history rows are written, the transaction is open",
    "recorder.after_commit": "history is committed",
}

_armed: dict[str, Callable[[], None]] = {}


def reached(point: str) -> None:
    """Say that execution has come to ``point``; free unless it is armed."""
    if _armed and point in _armed:
        _armed[point]()


def arm(point: str, action: Callable[[], None]) -> None:
    """Run ``action`` whenever ``point`` is reached; an unknown name is a ``KeyError``."""
    POINTS[point]
    _armed[point] = action


def disarm() -> None:
    """Forget every armed point."""
    _armed.clear()


def arm_from(text: str) -> None:
    """Arm points to kill this process with SIGKILL, from ``name[:n][,name[:n]…]`` (n-th passage, default the first)."""
    for item in filter(None, text.split(",")):
        name, _, passage = item.partition(":")
        arm(name, _killer(int(passage or 1)))


def _killer(passages: int) -> Callable[[], None]:
    left = passages

    def kill() -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill
