"""The process that runs tasks declared with ``isolation="process"``: ``python -m engine.workers.child``.

It reads jobs from one pipe and tells of them on another, one at a time, and dies with its parent: the kernel is asked to
see to it where it can, and the end of the pipe says so everywhere.  A job that is still running then is rescued by
whoever owns the store next, so it must not go on here.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import inspect
import os
import queue
import signal
import sys
import threading
import time
from typing import Any, BinaryIO

import psutil

from engine.kernel.errors import Discard, PayloadUnreadable, ValidationError
from engine.queue import codec
from engine.queue.context import Context
from engine.queue.failures import failure_of
from engine.queue.retry import Outcome
from engine.queue.task import Task
from engine.workers import frames
from engine.workers.sink import OUTPUTS

_PR_SET_PDEATHSIG = 1


class PipeSink:
    """A task's words, sent to the parent."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._outputs = 0

    def begin(self) -> None:
        """Another job begins."""
        self._outputs = 0

    def send(self, frame: frames.Frame) -> None:
        """Send one frame; a task may speak from several threads."""
        with self._lock:
            frames.write(self._out, frame)

    def progress(self, value: float, message: str) -> None:
        self.send(frames.Progress(value, message))

    def line(self, level: int, text: str) -> None:
        self.send(frames.Line(level, text[:4_000]))

    def output(self, name: str, value: bytes) -> None:
        self._outputs += 1
        if self._outputs > OUTPUTS:
            raise ValidationError(f"output.{name}: an attempt may give at most {OUTPUTS} outputs", f"output.{name}")
        self.send(frames.Output(name, value))

    def cancelled(self) -> bool:
        """A cancelled job's process is ended from outside."""
        return False


def find(module: str, function: str) -> Any:
    """The task's function.  Raises ``Discard`` if it is not there any more."""
    found: Any = importlib.import_module(module)
    for name in function.split("."):
        found = getattr(found, name, None)
    if isinstance(found, Task):
        return found
    raise Discard(f"{module}.{function} is no task in the child process")


def call(run: frames.Run, sink: PipeSink) -> bytes | None:
    """Run one job; its result as JSON."""
    task = find(run.module, run.function)
    envelope = _envelope(run.job.payload)
    args = task.spec.validator.convert(envelope.args)
    context = (Context(run.job, envelope, sink, run.deadline or None),) if task.spec.wants_context else ()
    value = task.spec.func(*context, **args)
    if inspect.iscoroutine(value):
        value = asyncio.run(value)
    return None if value is None else _result(value)


def _envelope(payload: bytes) -> codec.Envelope:
    try:
        return codec.decode(payload)
    except PayloadUnreadable as error:
        raise Discard(str(error)) from None


def _result(value: Any) -> bytes:
    try:
        return codec.encode_value(value)
    except Exception as error:  # a value's own code that turns it into plain data may raise anything
        raise Discard(str(error) if isinstance(error, ValidationError) else f"result: {error!r}") from None


def serve(run: frames.Run, sink: PipeSink) -> None:
    """Run one job and tell how it ended."""
    result, outcome, failure = None, None, None
    sink.begin()
    sink.send(frames.Begun())
    began = time.process_time()
    try:
        result = call(run, sink)
    except BaseException as error:
        outcome, failure = Outcome.of(error), failure_of(error, run.job.task)
    memory = psutil.Process().memory_info().rss
    sink.send(frames.Done(result, outcome, failure, time.process_time() - began, memory))


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends, where there is such a kernel."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Serve jobs until the parent closes the pipe."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    incoming, outgoing = os.fdopen(int(sys.argv[1]), "rb"), os.fdopen(int(sys.argv[2]), "wb")
    jobs: queue.SimpleQueue[frames.Run] = queue.SimpleQueue()

    def listen() -> None:
        for frame in frames.read(incoming):
            if isinstance(frame, frames.Run):
                jobs.put(frame)
        os._exit(0)

    threading.Thread(target=listen, name="parent", daemon=True).start()
    sink = PipeSink(outgoing)
    while True:
        serve(jobs.get(), sink)


if __name__ == "__main__":
    main()
