"""Tasks for tests that start the real ``run.py`` with ``--tasks tests.support.tasks_launched``."""

from __future__ import annotations

import threading
from pathlib import Path

from engine import Context, task


@task(queue="default", name="launched.add")
def add(a: int, b: int) -> int:
    """Something that ends at once."""
    return a + b


@task(queue="default", name="launched.linger", max_attempts=3)
def linger(ctx: Context, seconds: float) -> str:
    """Something that goes on until it is told to stop, or for so many seconds."""
    ctx.progress(0.5, "lingering")
    pause = threading.Event()
    for _ in range(int(seconds * 50)):
        ctx.check_cancelled()
        pause.wait(0.02)
    return "lingered"


@task(queue="default", name="launched.wait_for", max_attempts=3)
def wait_for(ctx: Context, path: str) -> str:
    """Something that goes on until a file is there."""
    pause = threading.Event()
    while not Path(path).exists():
        ctx.check_cancelled()
        pause.wait(0.02)
    return "found"


@task(queue="default", name="launched.fail", max_attempts=1)
def fail(message: str) -> None:
    """Something that fails."""
    raise RuntimeError(message)
