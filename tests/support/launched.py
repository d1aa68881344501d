"""Starts the real ``run.py`` on a home of its own and a free port, as a person would, and ends it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "run.py"


def environment(**extra: str) -> dict[str, str]:
    """The environment without settings of the developer; no desktop, so that no browser opens."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        kept.pop(name, None)
    return kept | {"PYTHONPATH": str(ROOT)} | extra


def command(*argv: str | Path, python: str = sys.executable) -> list[str]:
    return [python, str(RUN), *map(str, argv)]


def run(
    *argv: str | Path, env: Mapping[str, str] | None = None, timeout: float = 180
) -> subprocess.CompletedProcess[str]:
    """A command of the launcher, to its end."""
    done = subprocess.run(
        command(*argv),
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment(**(env or {})),
        cwd=tempfile.gettempdir(),
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


class Launched:
    """A running ``run.py``."""

    def __init__(self, home: Path, process: subprocess.Popen[str]) -> None:
        self.home = home
        self.process = process

    @property
    def address(self) -> dict[str, Any]:
        """What the console wrote down about itself; empty until it answers."""
        try:
            found: dict[str, Any] = json.loads((self.home / "console.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if found.get("pid") == self.process.pid else {}

    @property
    def url(self) -> str:
        return str(self.address["url"])

    @property
    def client(self) -> httpx.Client:
        """Signed in as this user's command line."""
        token = (self.home / "keys" / "cli-token").read_text("utf-8")
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=60)

    def wait_until_ready(self, seconds: float = 120) -> None:
        until(self._ready, seconds, "run.py answers on /readyz")

    def _ready(self) -> bool:
        assert self.process.poll() is None, f"run.py ended with {self.process.returncode}"
        return bool(self.address) and httpx.get(f"{self.url}/readyz", timeout=30).status_code == 200

    def recorder(self) -> int:
        """Process id of the recorder, 0 if there is none."""
        for file in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # threads and children may end meanwhile
                for pid in file.read_text().split():
                    if b"recorder" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                        return int(pid)
        return 0

    def stop(self, number: int = signal.SIGTERM, seconds: float = 30) -> int:
        """Ask it to stop; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(seconds)


@contextlib.contextmanager
def launched(home: Path, *argv: str, env: Mapping[str, str] | None = None, ready: bool = True) -> Iterator[Launched]:
    """``run.py`` with its state in ``home``, killed at the end if it still runs; what it says goes to ``<home>.out``."""
    with open(f"{home}.out", "a", encoding="utf-8") as output:
        process = subprocess.Popen(
            command("--home", home, "--port", "0", "--no-browser", *argv),
            stdout=output, stderr=output, text=True, env=environment(**(env or {})),
        )  # fmt: skip
        found = Launched(home, process)
        try:
            if ready:
                found.wait_until_ready()
            yield found
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(30)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
