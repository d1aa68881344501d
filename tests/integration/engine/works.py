"""Tasks that run in a process of their own, where a child imports them by name."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

from engine import Cancel, Context, Discard, Retry, Snooze, task

AT_ONCE = Retry(initial=0.0, maximum=0.0)


@task(isolation="process", name="works.add")
def add(a: int, b: int) -> int:
    return a + b


@task(isolation="process", name="works.fail", max_attempts=2, backoff=AT_ONCE)
def fail(text: str) -> None:
    raise LookupError(text)


@task(isolation="process", name="works.die", max_attempts=5)
def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@task(isolation="process", name="works.leave", max_attempts=5)
def leave() -> None:
    os._exit(3)


@task(isolation="process", name="works.exit")
def exit_politely() -> None:
    sys.exit("enough")


@task(isolation="process", name="works.break_off")
def break_off() -> None:
    raise GeneratorExit


@task(isolation="process", name="works.linger", max_attempts=3)
def linger(ctx: Context) -> None:
    """Never ends by itself, and hears nothing."""
    ctx.progress(0.1, str(os.getpid()))
    while True:
        threading.Event().wait(60)


@task(isolation="process", name="works.huge")
def huge(size: int) -> str:
    return "x" * size


@task(isolation="process", name="works.chatter")
def chatter(ctx: Context, outputs: int) -> int:
    for number in range(outputs):
        ctx.output(f"n{number}", number)
    return os.getpid()


@task(isolation="process", name="works.decide", max_attempts=3)
def decide(ctx: Context, how: str) -> str:
    if how == "snooze" and not ctx.metadata.get("woken"):
        raise Snooze(3600, "not yet")
    if how == "cancel":
        raise Cancel("no more")
    if how == "discard":
        raise Discard("never")
    ctx.log.info("decided %s", how)
    return how


@task(isolation="process", name="works.facts")
def facts(ctx: Context) -> dict[str, Any]:
    return {"id": ctx.job_id, "attempt": ctx.attempt, "tenant": ctx.tenant, "pid": os.getpid()}
