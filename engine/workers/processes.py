"""Warm child processes for tasks that run isolated, and the body that runs a job in one of them.

A child runs one job at a time and is used again, until it has run ``JOBS_PER_CHILD`` jobs or holds more than
``MEMORY_PER_CHILD``.  Interrupting a job kills its child.  A child that dies by itself is told as ``ChildDied``, which
counts as a crash of the job, not as an error.
"""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys
import threading
from typing import Any

from engine.kernel.errors import HoldfastError
from engine.kernel.job import Failure, Job
from engine.queue.context import Sink
from engine.queue.retry import Outcome
from engine.queue.task import TaskSpec
from engine.workers import frames

JOBS_PER_CHILD = 200
MEMORY_PER_CHILD = 512 * 2**20
#: processes that may be gone before one takes the job
GONE_MOST = 3


class ChildDied(HoldfastError):
    """The process that ran the job ended under it."""


class ChildGone(ChildDied):
    """The process had ended before it took the job."""


class RemoteFailure(HoldfastError):
    """A task failed in its process; carries what the process told of it."""

    def __init__(self, outcome: Outcome, failure: Failure) -> None:
        super().__init__(failure.message)
        self.outcome = outcome
        self.failure = failure


class Child:
    """One process and its two pipes."""

    def __init__(self) -> None:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "engine.workers.child", str(theirs_in), str(theirs_out)],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            env=environment,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._out = os.fdopen(ours_out, "wb")
        self._in = os.fdopen(ours_in, "rb")
        self._frames = frames.read(self._in)
        self.jobs = 0
        self.memory = 0

    def run(self, run: frames.Run, sink: Sink) -> frames.Done:
        """Run one job; raises ``ChildDied``, ``ChildGone``."""
        self.jobs += 1
        try:
            frames.write(self._out, run)
        except OSError as error:
            raise ChildGone(f"the job's process could not be reached: {error}") from None
        begun = False
        for frame in self._frames:
            if isinstance(frame, frames.Done):
                self.memory = frame.memory
                return frame
            begun = begun or isinstance(frame, frames.Begun)
            _pass_on(frame, sink)
        kind = ChildDied if begun else ChildGone
        raise kind(f"the job's process ended with {self._ending()}")

    def _ending(self) -> str:
        code = self._process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    @property
    def worn(self) -> bool:
        """Whether it should not be used again."""
        return self.jobs >= JOBS_PER_CHILD or self.memory > MEMORY_PER_CHILD or not self.alive

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def close(self) -> None:
        """End it and let go of its pipes."""
        self._process.kill()
        self._process.wait()
        self._in.close()
        try:
            self._out.close()
        except OSError:  # what was buffered has nobody to go to
            return


def _pass_on(frame: frames.Frame, sink: Sink) -> None:
    if isinstance(frame, frames.Progress):
        sink.progress(frame.value, frame.message)
    elif isinstance(frame, frames.Line):
        sink.line(frame.level, frame.text)
    elif isinstance(frame, frames.Output):
        sink.output(frame.name, frame.value)


class Children:
    """The warm processes that wait for a job.  One thread makes them all: the kernel ends a child with the *thread* that
    made it, and the threads of workers come and go."""

    def __init__(self) -> None:
        self._maker = concurrent.futures.ThreadPoolExecutor(1, "holdfast-children")
        self._idle: list[Child] = []
        self._lock = threading.Lock()
        self._closed = False

    def take(self) -> Child:
        """A child that is free, or a new one; one that died while it waited is no crash of the next job."""
        while True:
            with self._lock:
                child = self._idle.pop() if self._idle else None
            if child is None:
                return self._maker.submit(Child).result()
            if child.alive:
                return child
            child.close()

    def give(self, child: Child) -> None:
        """Put a child back."""
        with self._lock:
            keep = not self._closed and not child.worn
            if keep:
                self._idle.append(child)
        if not keep:
            child.close()

    def close(self) -> None:
        """End all that are idle, and each other one when it comes back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for child in idle:
            child.close()
        self._maker.shutdown(wait=False)


class ProcessBody:
    """Runs one job in a child process."""

    __slots__ = ("_child", "_children", "_error", "_job", "_lock", "_sink", "_spec", "deadline", "done")

    def __init__(self, job: Job, spec: TaskSpec, sink: Sink, children: Children, deadline: float) -> None:
        self._job = job
        self._spec = spec
        self._sink = sink
        self._children = children
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._error: BaseException | None = None
        self.deadline = deadline
        self.done: frames.Done | None = None

    def run(self) -> Any:
        """See ``Body.run``; the value is left in ``done``, as JSON."""
        for _ in range(GONE_MOST - 1):
            try:
                return self._run_once()
            except ChildGone:
                continue
        return self._run_once()

    def _run_once(self) -> None:
        child = self._children.take()
        with self._lock:
            self._child = child
            error = self._error
        try:
            if error is not None:
                raise error
            self.done = child.run(self._frame(), self._sink)
        except BaseException as broken:
            child.kill()  # it may be in the middle of the job
            if isinstance(broken, ChildDied) and self._error is not None:
                raise self._error from None
            raise
        finally:
            with self._lock:
                self._child = None
            self._children.give(child)
        if self.done.outcome is not None and self.done.failure is not None:
            raise RemoteFailure(self.done.outcome, self.done.failure)

    def _frame(self) -> frames.Run:
        func = self._spec.func
        return frames.Run(self._job, func.__module__, func.__qualname__, self.deadline)

    def interrupt(self, error: BaseException) -> None:
        """See ``Body.interrupt``."""
        with self._lock:
            self._error = self._error or error
            if self._child is not None:
                self._child.kill()
