"""Tasks that tell everything they are given, for tests of where it ends up."""

from __future__ import annotations

from engine import Context, task


@task(queue="telling", name="telling.tell")
def tell(ctx: Context, text: str) -> str:
    """Say it in every way that a task has."""
    ctx.log.warning("told %s", text)
    ctx.output("told", text)
    ctx.progress(0.5, text)
    return text


@task(queue="telling", name="telling.fail", max_attempts=1)
def fail(text: str) -> None:
    """Die of it."""
    raise RuntimeError(text)


@task(queue="telling", name="telling.tell_in_a_process", isolation="process", timeout=60)
def tell_in_a_process(ctx: Context, text: str) -> str:
    """Say it from another process."""
    ctx.log.warning("told %s", text)
    return text
