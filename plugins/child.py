"""Runs one piece of work on untrusted bytes in a child process of its own, and follows it.

A parser that hangs, eats memory or crashes takes its child with it and nothing else.  The child gets: the bytes as its
standard input, the request as its argument, an environment without any of our variables, limits on CPU, memory, files
and processes.  It answers in JSON lines on its standard output.  The child is never left behind: whatever ends the
call, it is killed and waited for.

This holds against bad documents.  It is no sandbox for hostile *code*: the child may still open sockets and read files.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec

from engine import Discard
from engine.kernel.clock import Clock
from engine.kernel.errors import AttemptTimeout
from plugins.manifest import Limits

#: seconds between two looks at whether to go on
TICK = 0.1
#: bytes of one answer line; longer ones end the child
LONGEST_LINE = 64 * 2**20
_ROOT = Path(__file__).resolve().parent.parent


class ChildCrashed(RuntimeError):
    """The child ended without an answer: killed from outside, or a crash inside a parser.  Worth another attempt."""


class Work(msgspec.Struct, frozen=True):
    """What to do: ``module:function`` called with the request, and how much it may take."""

    function: str
    request: Mapping[str, Any]
    limits: Limits
    #: seconds that it may run
    seconds: float


def run(
    work: Work, source: IO[bytes], clock: Clock, progress: Callable[[float, str], None], check: Callable[[], None]
) -> dict[str, Any]:
    """The work's answer.  ``check`` is called ten times a second and raises to stop.  Raises ``Discard`` when the work
    refuses its input or needs more than its limits, ``AttemptTimeout``, or ``ChildCrashed``."""
    with _child(work, source) as child:
        complaints = Tail(child)
        for line in _lines(child, clock.monotonic() + work.seconds, clock, check, work):
            answer = msgspec.json.decode(line)
            if "result" in answer:
                return dict(answer["result"])
            if "refused" in answer:
                raise Discard(answer["refused"])
            progress(*answer["progress"])
        raise _crash(child.wait(), work.limits, complaints.text())


@contextmanager
def _child(work: Work, source: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    limits = msgspec.json.encode(work.limits).decode()
    child = subprocess.Popen(
        [sys.executable, "-B", "-s", "-P", "-m", "plugins.child_main", work.function, limits,
         msgspec.json.encode(work.request).decode()],
        stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment(),
        cwd="/" if os.name == "posix" else None,
    )  # fmt: skip
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        assert child.stdout and child.stderr
        child.stdout.close()
        child.stderr.close()


def _environment() -> dict[str, str]:
    """Only what Python needs to find its modules: keys and tokens stay here."""
    kept = {name: os.environ[name] for name in ("SYSTEMROOT", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, sys.path)]), "PYTHONUTF8": "1"}


def _lines(
    child: subprocess.Popen[bytes], deadline: float, clock: Clock, check: Callable[[], None], work: Work
) -> Iterator[bytes]:
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(child, lines.put), name=f"child-{child.pid}", daemon=True).start()
    while True:
        check()
        if clock.monotonic() > deadline:
            raise AttemptTimeout(f"{work.function} ran longer than {work.seconds:g} s")
        try:
            line = lines.get(timeout=TICK)
        except queue.Empty:
            continue
        if not line:
            return
        yield line


def _read(child: subprocess.Popen[bytes], put: Callable[[bytes], None]) -> None:
    """Pass on lines until the child's output ends, which the empty line says."""
    assert child.stdout
    try:
        while (line := child.stdout.readline(LONGEST_LINE)).endswith(b"\n"):
            put(line)
    except ValueError:
        return  # the caller has gone and closed the pipe
    put(b"")


class Tail:
    """Reads what the child complains of, so that it never blocks on that, and keeps the end."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stderr
        #: its own: the caller may close the pipe just before a read, and the number may be another child's by then
        self._source = os.dup(child.stderr.fileno())
        self._kept = b""
        self._thread = threading.Thread(target=self._read, name=f"child-{child.pid}-errors", daemon=True)
        self._thread.start()

    def text(self) -> str:
        """The last line, of a child that has ended."""
        self._thread.join(1.0)
        return self._kept.decode(errors="replace").strip().rpartition("\n")[2]

    def _read(self) -> None:
        try:
            while chunk := os.read(self._source, 65_536):
                self._kept = (self._kept + chunk)[-400:]
        finally:
            os.close(self._source)


def _crash(status: int, limits: Limits, complaint: str) -> Exception:
    if os.name == "posix" and -status == signal.SIGXCPU:
        return Discard(f"the document needs more than {limits.cpu_seconds} s of CPU to read")
    return ChildCrashed(
        f"the child process ended with status {status} and no answer{complaint and ': ' + complaint:.300}"
    )
