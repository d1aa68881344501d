"""Finds programs that some tests need: a browser, a database server.

A test whose program is missing is skipped on a developer's machine and fails where ``HOLDFAST_REQUIRE_PROGRAMS=1`` (as
``run.py test --require-programs`` sets it), so that nothing goes unproven in continuous integration.
"""

from __future__ import annotations

import glob
import os
import shutil
from pathlib import Path

import pytest

#: where distributions put programs that are not on the path; the highest version comes last
FOLDERS: dict[str, tuple[str, ...]] = {
    "initdb": ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin"),
    "postgres": ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin"),
    "chromium": ("/usr/lib/chromium", "/Applications/Chromium.app/Contents/MacOS"),
}
#: other names of the same program
ALIASES = {"chromium": ("chromium-browser", "google-chrome", "google-chrome-stable", "chrome")}


def find(name: str, *folders: str) -> Path | None:
    """The program on the path or in the usual folders, else ``None``."""
    for alias in (name, *ALIASES.get(name, ())):
        if on_path := shutil.which(alias):
            return Path(on_path)
    for pattern in (*folders, *FOLDERS.get(name, ())):
        for folder in sorted(glob.glob(pattern), key=_version, reverse=True):
            if found := shutil.which(name, path=folder):
                return Path(found)
    return None


def need(name: str, *folders: str) -> Path:
    """The program; without it the test is skipped, or fails where programs are required."""
    found = find(name, *folders)
    if found is not None:
        return found
    message = f"the program {name} is not installed"
    if required():
        pytest.fail(f"{message} and HOLDFAST_REQUIRE_PROGRAMS is set", pytrace=False)
    pytest.skip(message)


def required() -> bool:
    """Whether a missing program is a failure here."""
    return os.environ.get("HOLDFAST_REQUIRE_PROGRAMS", "") not in {"", "0"}


def _version(folder: str) -> tuple[int, ...]:
    return tuple(int(part) for part in "".join(c if c.isdigit() else " " for c in folder).split())
