"""Pieces of work for child processes that go wrong in every way a parser can."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import IO, Any

from engine.kernel.clock import SystemClock
from plugins import child
from plugins.child_main import Refused
from plugins.manifest import Limits

Report = Callable[[float, str], None]


def echo(request: dict[str, Any], source: IO[bytes], report: Report) -> dict[str, Any]:
    """Say what came in, and what of our surroundings can be seen."""
    report(0.5, "half")
    return {"request": request, "bytes": source.read().decode(), "environment": sorted(os.environ), "cwd": os.getcwd()}


def spin(request: dict[str, Any], source: IO[bytes], report: Report) -> dict[str, Any]:
    """Never come back."""
    while True:
        pass


def hang(request: dict[str, Any], source: IO[bytes], report: Report) -> dict[str, Any]:
    """Wait for ever, using nothing."""
    report(0.1, str(os.getpid()))
    signal.pause()
    return {}


def swallow(request: dict[str, Any], source: IO[bytes], report: Report) -> dict[str, Any]:
    """Take memory without end."""
    kept = []
    while True:
        kept.append(bytearray(2**24))


def dive(request: dict[str, Any], source: IO[bytes], report: Report) -> dict[str, Any]:
    """Recurse without end."""
    return dive(request, source, report)


def crash(request: dict[str, Any], source: IO[bytes], report: Report) -> dict[str, Any]:
    """Die as a C library would."""
    os.kill(os.getpid(), signal.SIGSEGV)
    return {}


def raise_error(request: dict[str, Any], source: IO[bytes], report: Report) -> dict[str, Any]:
    """Fail with an error that nobody expected."""
    raise LookupError("unexpected")


def refuse(request: dict[str, Any], source: IO[bytes], report: Report) -> dict[str, Any]:
    """Say no."""
    raise Refused("not this one")


def chatter(request: dict[str, Any], source: IO[bytes], report: Report) -> dict[str, Any]:
    """Print things that look like answers."""
    print('{"result": {"forged": true}}', flush=True)
    sys.stderr.write("noise\n" * 100_000)
    return {"forged": False}


def write_file(request: dict[str, Any], source: IO[bytes], report: Report) -> dict[str, Any]:
    """Try to leave something on the disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with open(request["path"], "w") as file:
            file.write("x" * 10_000)
    except OSError as error:
        return {"error": str(error)}
    return {"error": None}


def main() -> None:
    """Have a child hang, and tell its process id: a parent for tests to kill."""
    work = child.Work("tests.support.works:hang", {}, Limits(), 60)
    with open(os.devnull, "rb") as nothing:
        child.run(work, nothing, SystemClock(), lambda value, message: print(message, flush=True), lambda: None)


if __name__ == "__main__":
    main()
