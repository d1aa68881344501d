"""The peers' own environment: made beside the project for the bench only, versions pinned, never mixed with ours.

``.venv-bench`` ignores itself in git.  With ``HOLDFAST_WHEELS`` the packages come from that folder instead of the index.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.rounds import ROOT, tell

FOLDER = ROOT / ".venv-bench"
PYTHON = FOLDER / "bin" / "python"
PATIENCE = 600


class NotToBeHad(Exception):
    """A peer, or what it needs, cannot be installed or started here; says why in one line."""


def ready(packages: Sequence[str]) -> Path:
    """The environment's Python, with these pinned packages.  Raises ``NotToBeHad``."""
    if not PYTHON.exists():
        tell(f"  peers: making {FOLDER}")
        _call([sys.executable, "-m", "venv", str(FOLDER)])
        (FOLDER / ".gitignore").write_text("*\n", "utf-8")
    missing = [package for package in packages if package not in _installed()]
    if missing:
        tell(f"  peers: installing {' '.join(missing)}")
        _call([str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *_source(), *missing])
    return PYTHON


def _installed() -> set[str]:
    command = [str(PYTHON), "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"]
    return set(_call(command).lower().split())


def _source() -> list[str]:
    wheels = os.environ.get("HOLDFAST_WHEELS")
    return ["--no-index", "--find-links", os.path.abspath(wheels)] if wheels else []


def _call(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotToBeHad(f"{command[0]}: {error}") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason was given"]
        raise NotToBeHad(f"{' '.join(command[:4])} failed: {lines[-1][:200]}")
    return done.stdout
