"""What the engine hands out: a handle on a job, and frozen answers to questions about queues and load."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from engine.kernel.bus import Bus
from engine.kernel.clock import Clock
from engine.kernel.errors import JobCancelled, JobFailed, NotFound, ResultTimeout, Stopped
from engine.kernel.events import AttemptEnded, Event, JobDeleted
from engine.kernel.job import TERMINAL, JobState, JobView
from engine.queue import codec

if TYPE_CHECKING:
    from engine.engine import Engine


class RunningJob(msgspec.Struct, frozen=True):
    """A job that runs in this process now."""

    id: str
    task: str
    queue: str
    worker: str
    started_at: float
    tenant: str = ""


class Load(msgspec.Struct, frozen=True):
    """How many jobs this process can run at once, and which it runs."""

    slots: int
    busy: int
    running: list[RunningJob]
    #: attempts that completed or failed here since the start, those of them that failed, mean seconds of running
    done: int = 0
    failed: int = 0
    mean_seconds: float = 0.0


class Handle:
    """A job from the outside."""

    __slots__ = ("_engine", "id", "new")

    def __init__(self, engine: Engine, id_: str, new: bool) -> None:
        self._engine = engine
        self.id = id_
        #: ``False`` if an idempotency or unique key named a job that was there first
        self.new = new

    def __repr__(self) -> str:
        return f"<job {self.id}>"

    def view(self) -> JobView | None:
        """What the store knows; ``None`` if the job is unknown or ended too long ago."""
        return self._engine.views((self.id,)).get(self.id)

    @property
    def state(self) -> JobState | None:
        """The job's state, as ``view``."""
        view = self.view()
        return None if view is None else view.state

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the job has ended; whether it has."""
        return self._engine.wait_for(self.id, timeout) is not None

    def result(self, timeout: float | None = None) -> Any:
        """The task's return value, waited for.  Raises ``JobFailed``, ``JobCancelled``, ``ResultTimeout``, ``NotFound``,
        ``Stopped``."""
        view = self._engine.wait_for(self.id, timeout)
        if view is None:
            raise self._no_result(timeout)
        if view.state == JobState.CANCELLED:
            raise JobCancelled(f"job {self.id} was cancelled{': ' + view.reason if view.reason else ''}", self.id)
        if view.state == JobState.DEAD:
            cause = f"{view.failure.type}: {view.failure.message}" if view.failure else view.reason
            raise JobFailed(f"job {self.id} failed after {view.attempt} attempts: {cause}", self.id)
        return None if view.result is None else codec.decode_value(view.result)

    def _no_result(self, timeout: float | None) -> Exception:
        some, view = self._engine.sees_only_some(), self.view()
        if view is None and not some:
            return NotFound(f"job {self.id} is unknown here, or its result was kept no longer")
        state = "out of sight while Redis cannot be reached" if view is None else str(view.state)
        if timeout is None:
            return Stopped(f"job {self.id} is {state}, and the engine was stopped")
        return ResultTimeout(f"job {self.id} is {state}, it has not ended within {timeout:g} s", self.id)

    def cancel(self, by: str = "") -> JobState | None:
        """Cancel it, or ask it to stop if it runs; the state it was found in."""
        return self._engine.cancel((self.id,), by).get(self.id)

    def retry(self, by: str = "") -> bool:
        """Make it available again if it is dead, or now if it waits for a time; whether it was."""
        return self.id in self._engine.retry((self.id,), by)


#: starts telling the ids of jobs that end in other processes too; the function returned ends it
Follow = Callable[[Callable[[Iterable[str]], None]], Callable[[], None]]
#: first and longest time between two looks at a job that may end in another process: news from there can get lost
LOOKS = (0.05, 1.0)


class Waiters:
    """Threads that wait for the end of a job: told by the bus and, where others work on the same store, by ``follow``."""

    def __init__(self, bus: Bus, clock: Clock, follow: Follow | None = None) -> None:
        self._clock = clock
        self._waiting: dict[str, list[threading.Event]] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._follow = follow
        self._leave: Callable[[], None] | None = None
        self._unsubscribe = bus.subscribe(self._told)

    def wait(
        self,
        id_: str,
        timeout: float | None,
        look: Callable[[], JobView | None],
        partial: Callable[[], bool] = lambda: False,
    ) -> JobView | None:
        """The job's view once it is terminal; ``None`` after ``timeout``, or at once for a job that is unknown to a store
        that sees all jobs (it does not while it is ``partial``)."""
        signal = threading.Event()
        deadline = None if timeout is None else self._clock.monotonic() + timeout
        self._enter(id_, signal)
        try:
            some, view, pause = partial(), look(), LOOKS[0]
            # asked before and after: the look itself may have met the loss
            while (some or partial()) if view is None else view.state not in TERMINAL:
                left = None if deadline is None else deadline - self._clock.monotonic()
                if self._closed or (left is not None and left <= 0):
                    return None
                signal.wait(self._until_look(left, pause))
                signal.clear()
                some, view, pause = partial(), look(), min(2 * pause, LOOKS[1])
            return view
        finally:
            self._go(id_, signal)

    def _until_look(self, left: float | None, pause: float) -> float | None:
        if self._follow is None:
            return left
        return pause if left is None else min(left, pause)

    def _enter(self, id_: str, signal: threading.Event) -> None:
        with self._lock:
            self._waiting.setdefault(id_, []).append(signal)
            if self._follow is not None and self._leave is None and not self._closed:
                self._leave = self._follow(self._heard)

    def _go(self, id_: str, signal: threading.Event) -> None:
        with self._lock:
            self._waiting[id_].remove(signal)
            if not self._waiting[id_]:
                del self._waiting[id_]
            if not self._waiting and self._leave is not None:
                self._leave()
                self._leave = None

    def _heard(self, ids: Iterable[str]) -> None:
        for id_ in self._waiting.keys() & ids:
            self._wake(id_)

    def _wake(self, id_: str) -> None:
        with self._lock:
            for signal in self._waiting.get(id_, ()):
                signal.set()

    def _told(self, events: Sequence[Event]) -> None:
        if not self._waiting:
            return
        for event in events:
            if isinstance(event, (AttemptEnded, JobDeleted)) and event.id in self._waiting:
                self._wake(event.id)

    def close(self) -> None:
        """Let all waiters go."""
        self._closed = True
        self._unsubscribe()
        with self._lock:
            for signals in self._waiting.values():
                for signal in signals:
                    signal.set()
