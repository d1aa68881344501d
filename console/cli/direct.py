"""Adds a job to a fleet through its Redis, without a console: ``run.py enqueue TASK --redis URL``.

The task is checked here, so its module has to be named; what runs the job is any agent of the fleet.
"""

from __future__ import annotations

import os
import types
from typing import Any

from console.cli.start import import_from_here
from engine import Engine, JobRequest
from engine.kernel.bus import Bus
from engine.kernel.clock import SystemClock
from engine.kernel.errors import ResultTimeout
from engine.kernel.job import JobState, JobView
from engine.kernel.settings import Settings
from engine.queue import codec
from engine.storage.redis.client import Client
from engine.storage.redis.connect import target_from
from engine.storage.redis.store import RedisStore
from plugins.loader import load_catalog
from plugins.services import House


def enqueue(settings: Settings, request: JobRequest, wait: bool) -> dict[str, Any]:
    """The job as the API tells of one: only its id and state, or once it has ended also its result or error.

    Raises ``UnknownTask``, ``ValidationError``, ``Unreachable``.
    """
    import_from_here()
    clock, bus = SystemClock(), Bus()
    store = RedisStore(Client(target_from(settings), clock), clock, bus, fleet=settings.fleet)
    engine = Engine(settings, store=store, clock=clock)
    try:
        load_catalog(types.SimpleNamespace(register=engine.add), House(settings, clock=clock, environ=os.environ))
        job = engine.enqueue(request.task, request.args, **options_of(request))
        view = engine.wait_for(job.id, None) if wait else job.view()
        if view is None:
            raise ResultTimeout(f"job {job.id} was accepted, and Redis tells no more of it", job.id)
        return told(view)
    finally:
        engine.stop()


def options_of(request: JobRequest) -> dict[str, Any]:
    """All of a request but its task and arguments."""
    return {name: getattr(request, name) for name in request.__struct_fields__ if name not in ("task", "args")}


def told(view: JobView) -> dict[str, Any]:
    """A job in the words of the API."""
    failure = view.failure
    error = {"type": failure.type, "message": failure.message} if failure is not None else None
    result = codec.decode_value(view.result) if view.result is not None else None
    found: dict[str, Any] = {"id": view.id, "task": view.task, "queue": view.queue, "state": str(view.state)}
    if view.state not in (JobState.COMPLETED, JobState.DEAD, JobState.CANCELLED):
        return found
    return found | {"result": result, "error": error}
