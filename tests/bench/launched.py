"""``python3 run.py`` as a user starts it: a process of its own, reached over HTTP on loopback only."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import psutil

from tests.bench import house, work
from tests.bench.rounds import ROOT, clean, tail

#: seconds that a start may take before it counts as failed
PATIENCE = 120.0


class Launched:
    """A console that was started by its launcher."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, ready: float) -> None:
        self.process = process
        self.port = port
        #: seconds from its start to the first 200 of ``/readyz``
        self.ready = ready

    def get(self, path: str) -> Any:
        """The JSON that a path answers."""
        status, body = get(self.port, path)
        assert status == 200, f"{path} answered {status}: {body[:300]!r}"
        return json.loads(body)

    def enqueue(self, task: str, jobs: int) -> None:
        """So many jobs of a task of ``tests.bench.work``."""
        made = [{"task": task, "args": {"n": n, "text": "x"}} for n in range(jobs)]
        status, body = ask(self.port, "POST", "/v1/jobs/bulk", json.dumps({"jobs": made}))
        assert status == 202, f"/v1/jobs/bulk answered {status}: {body[:300]!r}"

    def stop(self) -> float:
        """Ask it to stop; seconds until it has."""
        began = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        return time.perf_counter() - began

    def processes(self) -> list[psutil.Process]:
        """The console and all its children."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]


@contextlib.contextmanager
def launched(home: Path, *flags: str) -> Iterator[Launched]:
    """``run.py`` on a home, until the block ends."""
    port = free_port()
    command = [sys.executable, "run.py", "--home", str(home), "--port", str(port), "--no-browser", *flags]
    environ = clean(os.environ) | {"HOLDFAST_ADMIN_TOKEN": house.TOKEN}
    log = home.parent / "run.txt"
    with log.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--tasks", work.__name__], cwd=ROOT, env=environ, stdout=output, stderr=output
        )
        try:
            house.until(lambda: process.poll() is not None or is_ready(port), PATIENCE, "/readyz answers 200")
            assert process.poll() is None, f"run.py ended: {tail(log)}"
            console = Launched(process, port, time.perf_counter() - began)
            yield console
            console.stop()
        finally:
            process.kill()
            process.wait(10)


def is_ready(port: int) -> bool:
    """Whether ``/readyz`` says so."""
    try:
        return get(port, "/readyz")[0] == 200
    except (OSError, HTTPException):
        return False


def get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body of what a path answers."""
    return ask(port, "GET", path)


def ask(port: int, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
    """Status and body of one request; ``body`` is JSON."""
    headers = {"Authorization": f"Bearer {house.TOKEN}", "Content-Type": "application/json"}
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
