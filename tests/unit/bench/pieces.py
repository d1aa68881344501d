"""Rounds for the tests of the bench: one that answers, one that fails, one that hangs with a child of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path


def told(folder: Path, jobs: int) -> dict[str, object]:
    """What a round sees of its surroundings."""
    settings = [name for name in os.environ if name.startswith("HOLDFAST_")]
    return {"jobs": jobs, "empty": sorted(file.name for file in folder.iterdir()), "settings": settings}


def failing(folder: Path) -> dict[str, float]:
    """Says something and fails."""
    print("what was printed before")
    raise LookupError("nothing to measure")


def hanging(folder: Path) -> dict[str, float]:
    """Never answers, and has a child that would live on."""
    child = subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"])
    (folder / "child").write_text(str(child.pid))
    threading.Event().wait()
    return {}
