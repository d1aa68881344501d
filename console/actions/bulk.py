"""One action on every job that matches a filter.

The jobs are found in history in batches of ``BATCH`` ids, oldest first, and each batch is one call to the engine, so a
million of them hold neither memory nor a lock; a job that left the state in the meantime counts as unchanged.
"""

from __future__ import annotations

from collections.abc import Callable

from console import reading
from console.actions import jobs
from console.actions.actor import Actor, authorise
from console.actions.jobs import NOTHING, Outcome
from console.context import Console
from engine.kernel.errors import ValidationError

BATCH = 500


def apply_to_matching(
    console: Console,
    actor: Actor,
    action: str,
    query: reading.Query,
    *,
    over: float = 0.0,
    progress: Callable[[Outcome], None] | None = None,
) -> Outcome:
    """Do ``action`` to all jobs that ``query`` (the filter language) matches; ``over`` spreads retries over seconds."""
    if action not in ("retry", "cancel", "delete"):
        raise ValidationError(f"action: expected retry, cancel or delete, got {action!r:.40}", "action")
    authorise(actor, f"job.{action}")
    total = NOTHING
    for ids in reading.matching(console, query, tenant=actor.tenant, batch=BATCH):
        total = total + _apply(console, actor, action, ids, over)
        if progress:
            progress(total)
    return total


def _apply(console: Console, actor: Actor, action: str, ids: list[str], over: float) -> Outcome:
    if action == "retry":
        return jobs.retry(console, actor, ids, over=over)
    return jobs.cancel(console, actor, ids) if action == "cancel" else jobs.delete(console, actor, ids)
