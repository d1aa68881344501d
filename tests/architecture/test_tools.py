"""The tools that keep the house in order, as tests, so that the one test command runs them all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: beside this Python, also when its environment is not activated
SCRIPTS = Path(sys.executable).parent


def verdict(*command: str) -> tuple[int, str]:
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=1200, env=os.environ | {"NO_COLOR": "1"}
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("-m", "ruff", "check", "."), id="ruff finds nothing"),
        pytest.param(("-m", "ruff", "format", "--check", "."), id="the code is formatted"),
        pytest.param(("-m", "mypy"), id="types are strict"),
    ],
)
def test_the_tools_are_content(command: tuple[str, ...]) -> None:
    code, output = verdict(sys.executable, *command)
    assert code == 0, output


def test_no_package_imports_what_it_must_not_know() -> None:
    code, output = verdict(str(SCRIPTS / "lint-imports"), "--no-cache")
    assert code == 0, output
