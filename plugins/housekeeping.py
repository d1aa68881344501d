"""Has old history removed once a day, as an ordinary job that can be seen, cancelled and retried.

Until there are schedules this is the only thing that recurs.  It looks every hour whether anything is old enough to go,
and enqueues ``maintenance.prune`` under a key that names the day: restarts and two looks on one day make one job, and a
history with nothing to remove makes none.  A machine that is switched off at night misses nothing.  In a fleet the job
needs the capability that names this very history, so that it runs where that is, and each history has its own.
"""

from __future__ import annotations

import datetime
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from engine import HoldfastError, Settings
from engine.kernel.clock import Clock

log = logging.getLogger("holdfast.housekeeping")

#: seconds to the first look, so that a start is not slowed down, and from one look to the next
FIRST_LOOK, NEXT_LOOK = 60.0, 3600.0
#: how the capability of who can reach a history begins; which one follows
HISTORY = "history."


class Enqueuer(Protocol):
    """What takes jobs and knows the settings; ``Engine`` is one."""

    settings: Settings
    clock: Clock

    def enqueue(self, task: str, args: dict[str, Any] | None = None, **options: Any) -> object:
        """Enqueue one job."""


def spans_of(settings: Settings) -> Mapping[str, float]:
    """Queues that keep their ended jobs for a span of their own, in seconds."""
    return {name: table["retention"] for name, table in settings.queues.items() if "retention" in table}


class Housekeeping:
    """The daily look at a history; ``database`` is a ``data.Database``."""

    def __init__(self, engine: Enqueuer, database: Any) -> None:
        self._engine = engine
        self._database = database
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Look from time to time while the body runs, on a thread of its own."""
        thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(1.0)

    def run_once(self, now: float) -> float:
        """Enqueue today's job if there is anything to remove; returns the seconds until the next look."""
        from data import queries

        settings = self._engine.settings
        if queries.has_old(self._database, now, settings.history_days, queues=spans_of(settings)):
            today = datetime.datetime.fromtimestamp(now, datetime.UTC).date()
            where = [name for name in settings.capabilities if name.startswith(HISTORY)]
            key = "-".join(["maintenance.prune", *where, str(today)])
            self._engine.enqueue("maintenance.prune", idempotency_key=key, capabilities=where)
        return NEXT_LOOK

    def _run(self) -> None:
        delay = FIRST_LOOK
        while not self._stop.wait(delay):
            try:
                delay = self.run_once(self._engine.clock.now())
            except HoldfastError as error:
                log.warning("history was not pruned and will be looked at again: %s", error)
                delay = NEXT_LOOK
            except Exception:
                log.exception("history was not pruned and will be looked at again")
                delay = NEXT_LOOK
