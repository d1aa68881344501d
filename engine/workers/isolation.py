"""Where a task's function runs: in the worker's own thread, on an event loop, or in a process of its own.

A ``Body`` runs one call and can be interrupted from another thread with the error that the call shall end with.  A
thread cannot be stopped from outside: the error is raised in it at its next line of Python (as Dramatiq and others do),
so a call that hangs in C code goes on; whoever needs certainty declares ``isolation="process"``.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import ctypes
import threading
from collections.abc import Callable
from typing import Any, Protocol

from engine.kernel.shield import set_guard


class Body(Protocol):
    """One call of a task's function."""

    def run(self) -> Any:
        """Call the function; raises what it raised, or what it was interrupted with."""

    def interrupt(self, error: BaseException) -> None:
        """End the call with ``error``, as far as the kind of isolation allows; harmless when it has ended."""


class ThreadBody:
    """Runs in the calling thread.  Implements ``engine.kernel.shield.Guard`` for what the call does in the engine."""

    __slots__ = ("_call", "_depth", "_ended", "_error", "_held_back", "_lock", "_thread")

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._ended = False
        self._error: BaseException | None = None
        #: shielded calls the thread is in, one in the other
        self._depth = 0
        #: an interrupt waits for the end of a shielded call
        self._held_back = False

    def run(self) -> Any:
        """See ``Body.run``."""
        set_guard(self)
        try:
            try:
                self._begin()
                return self._call()
            finally:
                self._end()
        except BaseException:
            if self._error is not None:  # also if the task turned the interrupt into an error of its own
                raise self._error from None
            raise

    def _begin(self) -> None:
        """From now on the thread can be interrupted; raises what the call was interrupted with before."""
        with self._lock:
            early = self._error
            self._thread = threading.get_ident()
        if early is not None:
            raise early

    def _end(self) -> None:
        """From now on nothing interrupts the thread; as its guard this body stays until the next one, and holds nothing."""
        with self._lock:
            self._thread = None
            self._ended = True
            interrupted = self._error is not None
        if interrupted:
            _let_arrive()

    def enter(self) -> None:
        """See ``Guard.enter``."""
        with self._lock:
            self._depth += 1
            interrupted = self._error is not None and not self._held_back
        if interrupted:
            _let_arrive()

    def leave(self) -> None:
        """See ``Guard.leave``."""
        with self._lock:
            self._depth -= 1
            due = self._held_back and not self._depth
            self._held_back = self._held_back and not due
        if due:
            raise _Interrupt

    def interrupt(self, error: BaseException) -> None:
        """See ``Body.interrupt``."""
        with self._lock:
            if not self._ended and self._error is None:
                self._error = error
                if self._thread is None:  # it has not begun, and will see it when it does
                    return
                if self._depth:
                    self._held_back = True
                    return
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), ctypes.py_object(_Interrupt))


def _let_arrive() -> None:
    """Give an interrupt that is on its way the chance to be raised here."""
    for _ in range(1_000):
        continue


class _Interrupt(BaseException):
    """Raised in a thread from outside; never leaves ``ThreadBody``."""


class Loop:
    """The event loop on which a process's ``async def`` tasks run."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def submit(self, call: Callable[[], Any]) -> concurrent.futures.Future[Any]:
        """Run a coroutine function on the loop; started when first needed."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_turn, args=(self._loop,), name="holdfast-loop", daemon=True)
                self._thread.start()
        return asyncio.run_coroutine_threadsafe(_contained(call), self._loop)

    def stop(self) -> None:
        """End the loop."""
        with self._lock:
            if self._loop is not None and self._thread is not None:
                asyncio.run_coroutine_threadsafe(_wind_up(), self._loop)
                self._thread.join(0.5)  # a task that hangs in the loop keeps it
                self._loop = None


def _turn(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop to its end, however late that comes, and let go of it."""
    try:
        loop.run_forever()
    finally:
        loop.close()


async def _wind_up() -> None:
    """Let every coroutine see its cancellation, then end the loop; one that is only just cancelled would be left half."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for other in others:
        other.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    asyncio.get_running_loop().call_soon(asyncio.get_running_loop().stop)


class _Carried(Exception):
    """Brings an exception out of the loop that would end the loop."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


async def _contained(call: Callable[[], Any]) -> Any:
    try:
        return await call()
    except (SystemExit, KeyboardInterrupt) as error:
        raise _Carried(error) from None


class LoopBody:
    """Runs a coroutine on the loop; the calling thread waits for it."""

    __slots__ = ("_call", "_error", "_future", "_loop")

    def __init__(self, call: Callable[[], Any], loop: Loop) -> None:
        self._call = call
        self._loop = loop
        self._error: BaseException | None = None
        self._future: concurrent.futures.Future[Any] | None = None

    def run(self) -> Any:
        """See ``Body.run``."""
        self._future = self._loop.submit(self._call)
        if self._error is not None:
            self._future.cancel()
        try:
            return self._future.result()
        except _Carried as carried:
            raise carried.error from None
        except concurrent.futures.CancelledError:
            raise self._error or asyncio.CancelledError("the task cancelled itself") from None

    def interrupt(self, error: BaseException) -> None:
        """See ``Body.interrupt``."""
        self._error = self._error or error
        if self._future is not None:
            self._future.cancel()
