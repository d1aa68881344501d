"""Who an agent is: an id that stays with its home, and the version it runs.

The id is the host's name and six random digits, kept in a file of the home whose lock the process holds; so an agent that
was restarted hears what was said to it meanwhile.  A home that was copied to another host gets another id.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import re
import secrets
import tomllib
from pathlib import Path

#: under home
ID_FILE = "agent"
_PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def host() -> str:
    """The host's name, as far as it can stand in an id."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", platform.node()).strip("-._")[:60] or "host"


def fresh_id() -> str:
    """An id that no agent has."""
    return f"{host()}-{secrets.token_hex(3)}"


def known_id(home: Path) -> str:
    """The id of the agent on this home; a fresh one, always the same in this process, if it has none yet or came from
    another host."""
    try:
        known = (home / ID_FILE).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return _first_id(home)
    return known if re.fullmatch(re.escape(host()) + "-[0-9a-f]{6}", known) else _first_id(home)


@functools.cache
def _first_id(home: Path) -> str:
    return fresh_id()


def keep_id(home: Path, id_: str) -> None:
    """Let the home keep the id.  Called by who owns the home."""
    descriptor = os.open(home / ID_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(id_ + "\n")


@functools.cache
def version() -> str:
    """Of the project; "" where neither its files nor its package say it."""
    try:
        with _PROJECT.open("rb") as file:
            return str(tomllib.load(file)["project"]["version"])
    except (OSError, ValueError, KeyError):
        try:
            return importlib.metadata.version("holdfast")
        except importlib.metadata.PackageNotFoundError:
            return ""
