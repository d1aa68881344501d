"""Writes down what workers have done, behind their backs and in batches.

A worker hands over starts, words and ends without waiting; one thread takes all that has gathered and gives it to the
store in one commit.  Invariants: an end follows the words of its attempt; a start whose end has come is not written; the
backlog is bounded, since workers wait when it is long (``hold_back``).
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from engine.kernel.bell import Bell
from engine.kernel.clock import Clock
from engine.kernel.events import AttemptEnded, Event, JobStarted
from engine.storage.base import QueueStore
from engine.workers.feeder import Feeder
from engine.workers.tally import Tally

log = logging.getLogger("holdfast.workers")

#: seconds that ends may gather while work flows
COALESCE = 0.005
#: ends that are written without waiting for more
ENOUGH = 256
#: this many ends in one batch mean that work flows
FLOWING = 8
#: ends on their way at which workers are held back
BACKLOG = 2_000
#: seconds until a start is written whose end does not come
STARTS_AFTER = 0.05
#: seconds between tries to write to a store that fails
AGAIN = 0.5


class Begun(Protocol):
    """An attempt that runs."""

    @property
    def started_at(self) -> float:
        """Wall time."""

    def start(self) -> JobStarted:
        """What is written if its end does not come soon."""


class Finisher:
    """The one thread that ends attempts."""

    def __init__(self, store: QueueStore, feeder: Feeder, clock: Clock) -> None:
        self._store = store
        self._feeder = feeder
        self._clock = clock
        self.tally = Tally()
        self._ends: deque[AttemptEnded] = deque()
        self._notes: deque[Event] = deque()
        self._starts: dict[str, Begun] = {}
        #: ends that are being written
        self._writing: list[AttemptEnded] = []
        self._bell = Bell()
        self._stopping = False
        self._farewell: Event | None = None
        #: ends come so fast that nobody needs to ring for each
        self._flowing = False
        self._written = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="holdfast-finisher", daemon=True)

    def start(self) -> None:
        """Begin writing."""
        self._thread.start()

    def stop(self, timeout: float, farewell: Event | None = None) -> None:
        """Write all that was handed over, ``farewell`` last, and end."""
        self._farewell = farewell
        self._stopping = True
        self._bell.ring()
        self._thread.join(timeout)

    def started(self, job: str, attempt: Begun) -> None:
        """An attempt at the job of this id began."""
        self._starts[job] = attempt

    def said(self, event: Event) -> None:
        """An attempt said something: progress, log lines, an output."""
        self._notes.append(event)
        self._bell.ring()

    def ended(self, event: AttemptEnded) -> None:
        """An attempt ended."""
        self._starts.pop(event.id, None)
        self._ends.append(event)
        count = len(self._ends)
        if count == ENOUGH or not self._flowing:
            self._bell.ring()
        if count > BACKLOG:
            self._hold_back()

    def tokens(self) -> set[int]:
        """Tokens of claims whose ends are on their way."""
        return {event.token for event in [*self._ends, *self._writing]}

    def give_back(self, events: Iterable[AttemptEnded]) -> None:
        """Ends that are no worker's: jobs handed back."""
        self._ends.extend(events)
        self._bell.ring()

    def _hold_back(self) -> None:
        with self._written:
            while len(self._ends) > BACKLOG and not self._stopping:
                self._written.wait(0.05)

    def _run(self) -> None:
        while not (self._stopping and not self._ends and not self._notes):
            if self._flowing:
                self._gather()
            else:
                self._bell.sleep(STARTS_AFTER if self._starts else 0.25)
            self._flowing = self._flush() >= FLOWING
            if self._ends:
                self._bell.ring()
        if self._farewell is not None:
            self._exchange((), (self._farewell,))

    def _gather(self) -> None:
        """Let ends come together for a moment."""
        if len(self._ends) < ENOUGH and not self._stopping:
            self._bell.sleep(COALESCE)

    def _flush(self) -> int:
        ends = self._writing = _drain(self._ends)
        notes = self._due_starts() + _drain(self._notes)
        if not ends and not notes:
            return 0
        stale = self._exchange(ends, notes)
        if stale:
            log.warning("%d attempts ended after their lease was lost; their outcome counts no more", len(stale))
        self._writing = []
        self.tally.take(ends)
        with self._written:
            self._written.notify_all()
        return len(ends)

    def _exchange(self, ends: Sequence[AttemptEnded], notes: Sequence[Event]) -> set[str]:
        """Write, and bring new jobs along; tried until it works."""
        # jobs that are only handed back free no worker, and must not come straight back to the one who gave them away
        work_flows = any(end.worker for end in ends)
        while True:
            want = self._feeder.want() if work_flows else None
            claim = None
            try:
                exchange = self._store.exchange(ends, notes, want)
                claim = exchange.claim
                return exchange.stale
            except Exception:
                log.exception("ends of %d attempts could not be written yet", len(ends))
                self._bell.sleep(AGAIN)
                if self._stopping:
                    return set()
            finally:
                if want is not None:
                    self._feeder.brought(claim)

    def _due_starts(self) -> list[Event]:
        if not self._starts:
            return []
        before = self._clock.now() - STARTS_AFTER
        due: list[Event] = []
        for id_, attempt in list(self._starts.items()):
            if attempt.started_at <= before and self._starts.pop(id_, None) is not None:
                due.append(attempt.start())
        return due


def _drain(queue: deque[AttemptEnded] | deque[Event]) -> list:  # type: ignore[type-arg]
    return [queue.popleft() for _ in range(len(queue))]
