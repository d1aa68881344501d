"""The task ``maintenance.prune``: remove old jobs from the history, a small batch at a time.

Each batch is a transaction of its own, so that recorder and pages are never kept waiting and a stop loses nothing: the
next run goes on where this one ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec

from engine import Context
from plugins.housekeeping import spans_of
from plugins.services import Services

Days = Annotated[int, msgspec.Meta(ge=1, le=36_500)]


def tasks(services: Services) -> Mapping[str, Callable[..., Any]]:
    """The plugin's functions by task name."""

    def prune(ctx: Context, days: Days | None = None) -> dict[str, Any]:
        """Remove jobs that ended more than ``days`` ago (without it: what the setting ``history_days`` says).

        Queues with a ``retention`` of their own keep to that.
        """
        from data import queries  # brings the database libraries, which the start need not wait for here

        keep = services.settings.history_days if days is None else days
        database, batch, spans = services.database(), services.option("batch"), spans_of(services.settings)
        began, now = services.clock.monotonic(), services.clock.now()
        removed = batches = 0
        while count := queries.prune(database, now, keep, batch=batch, queues=spans):
            removed, batches = removed + count, batches + 1
            ctx.progress(batches / (batches + 1), f"{removed:,} jobs removed")
            ctx.check_cancelled()
        ctx.progress(1.0, f"{removed:,} jobs removed")
        seconds = round(services.clock.monotonic() - began, 3)
        return {"removed": removed, "batches": batches, "days": keep, "seconds": seconds}

    return {"maintenance.prune": prune}
