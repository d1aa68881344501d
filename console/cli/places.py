"""Where the console of a home is reached: what it writes down while it runs, and what its settings say.

Kept apart from the client, so that a start does not import one.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from engine.kernel.settings import Settings

#: written by a running console, under home
ADDRESS_FILE = "console.json"


def base_url(settings: Settings, port: int | None = None) -> str:
    """Where a console with these settings, on the port it got, is reached from its own machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port if port is None else port}"


def running_at(settings: Settings) -> str:
    """The address that a running console wrote down; "" if none did."""
    try:
        return str(json.loads((settings.home / ADDRESS_FILE).read_text("utf-8"))["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


@contextlib.contextmanager
def address_file(home: Path, url: str, pid: int) -> Iterator[None]:
    """While the body runs, tell the command line where the console is."""
    file = home / ADDRESS_FILE
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as stream:
        json.dump({"url": url, "pid": pid}, stream)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
