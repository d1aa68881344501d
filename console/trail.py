"""The book of who did what: entries on their way to the append-only audit.

An action's entry is written before the caller is answered.  Enqueues may come by the thousand a second and each job already
stands in the journal, so they are summed per actor and task and written once a second.  An entry that the database
refuses is kept and tried again with the next; nothing is dropped while the process lives.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from console.actions.actor import Actor
from data import audit

if TYPE_CHECKING:
    from data.database import Database
    from engine.kernel.clock import Clock

log = logging.getLogger("holdfast.audit")

#: seconds between two looks at what is to be written
PERIOD = 1.0


class Entry(msgspec.Struct, frozen=True):
    """One line of the book."""

    at: float
    actor: Actor
    action: str
    target: str
    detail: str = ""
    outcome: str = "ok"


class _Made(msgspec.Struct):
    """Jobs that one actor made of one task since the last look."""

    count: int = 0
    first: str = ""
    last: str = ""


class Trail:
    """Writes audit entries."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._writing = threading.Lock()
        self._counting = threading.Lock()
        self._waiting: deque[Entry] = deque()
        self._made: dict[tuple[Actor, str], _Made] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write down sums of enqueues."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="audit-trail", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what is left and end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(1.0)
        self.flush()

    def write(
        self, actor: Actor, action: str, target: str, detail: Mapping[str, object] | None = None, outcome: str = "ok"
    ) -> None:
        """Append one entry now."""
        text = json.dumps(detail, ensure_ascii=False) if detail else ""
        self._waiting.append(Entry(self._clock.now(), actor, action, target, text, outcome))
        self.flush()

    def note_enqueued(self, actor: Actor, made: Iterable[tuple[str, str]]) -> None:
        """Count new jobs (id, task) of an actor, to be written within a second."""
        with self._counting:
            for id, task in made:
                sum = self._made.setdefault((actor, task), _Made(first=id))
                sum.count, sum.last = sum.count + 1, id

    def flush(self) -> None:
        """Write everything that waits; what the database refuses stays for the next time."""
        with self._writing:
            self._collect()
            try:
                while self._waiting:
                    self._append(self._waiting[0])
                    self._waiting.popleft()
            except Exception:
                log.exception("audit: %d entries could not be written and will be tried again", len(self._waiting))

    def _collect(self) -> None:
        with self._counting:
            made, self._made = self._made, {}
        for (actor, task), sum in made.items():
            target = sum.first if sum.count == 1 else f"{sum.count} jobs"
            detail = {"task": task, "count": sum.count, "first": sum.first, "last": sum.last}
            self._waiting.append(Entry(self._clock.now(), actor, "job.enqueue", target, json.dumps(detail)))

    def _append(self, entry: Entry) -> None:
        audit.append(
            self._database,
            actor=f"{entry.actor.name} ({entry.actor.via})",
            action=entry.action,
            target=entry.target,
            detail=entry.detail,
            at=entry.at,
            tenant=entry.actor.tenant or "",
            outcome=entry.outcome,
        )

    def _run(self) -> None:
        while not self._stop.wait(PERIOD):
            if self._made or self._waiting:
                self.flush()
