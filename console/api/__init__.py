"""The REST API: thin routes over ``console.actions`` and ``console.reading``.

Bodies are read and checked by ``bodies`` (size, depth, types, with the field's name), everything that may wait runs in a
thread, and errors become problem documents in ``console.problems``.
"""

from __future__ import annotations

from fastapi import FastAPI

from console.api import access, agents, airgap, audit, bundles, events, health, jobs, queues, stats, store
from console.context import Console

__all__ = ["include"]


def include(app: FastAPI, console: Console) -> None:
    """Add all routes."""
    watch = events.JobWatch(console.engine.bus)
    app.state.watch = watch
    for router in (
        jobs.router(console),
        events.router(console, watch),
        queues.router(console),
        agents.router(console),
        bundles.router(console),
        stats.router(console),
        health.router(console),
        store.router(console),
        airgap.router(console),
        audit.router(console),
        access.router(console),
    ):
        app.include_router(router)
