"""Tasks that the API's tests run."""

from __future__ import annotations

import threading
from typing import Any

from engine import Context, Retry, task

#: lets held jobs go
gate = threading.Event()


@task(queue="default", name="echo", max_attempts=1)
def echo(text: str = "", number: int = 0) -> dict[str, Any]:
    return {"text": text, "number": number}


@task(queue="default", name="fail", max_attempts=1)
def fail(message: str = "broken") -> None:
    raise RuntimeError(message)


@task(queue="held", name="hold", max_attempts=1)
def hold(ctx: Context) -> str:
    ctx.log.info("holding")
    ctx.progress(0.5, "half way")
    while not gate.wait(0.02):
        ctx.check_cancelled()
    return "let go"


@task(queue="default", name="keep_secret", max_attempts=1)
def keep_secret(password: str, note: str = "") -> str:
    return note


@task(queue="slow", name="again", max_attempts=3, backoff=Retry(initial=300, maximum=300, jitter=False))
def again() -> None:
    raise ValueError("try later")
