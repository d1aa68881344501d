"""A module of tasks, as a user of Holdfast would write one."""

from __future__ import annotations

from engine.queue.context import Context
from engine.queue.retry import Retry
from engine.queue.task import task


@task(queue="emails", max_attempts=5, backoff=Retry(initial=1, maximum=30), timeout=30, priority="high")
def send_email(ctx: Context, to: str, subject: str) -> str:
    """Send one mail."""
    return f"{to}: {subject}"


@task
async def fetch(url: str) -> int:
    return len(url)


@task(isolation="process", name="crunch")
def crunch(numbers: list[int]) -> int:
    return sum(numbers)


same_task_again = crunch
not_a_task = 5
