"""What README.md tells a newcomer to do, done."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.support.launched import ROOT, Launched, command, environment
from tests.support.waiting import until

README = (ROOT / "README.md").read_text("utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
CONSOLE = [
    line[2:]
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line[:2] == "$ "
]


def typed(line: str, *more: str) -> list[str]:
    """A line of the README as a command, without its comment."""
    words = shlex.split(line.split("  #")[0])
    assert words[:2] == ["python3", "run.py"]
    return command(*words[2:], *more)


def test_the_first_task_runs_as_told(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(PYTHON[0])
    home = str(tmp_path / "home")
    starting = next(line for line in CONSOLE if "--tasks shop" in line)
    enqueuing = [line for line in CONSOLE if line.startswith("python3 run.py enqueue")]
    process = subprocess.Popen(
        typed(starting, "--home", home, "--port", "0", "--no-browser"),
        cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        Launched(tmp_path / "home", process).wait_until_ready()
        said = [
            subprocess.run(typed(line, "--home", home), capture_output=True, text=True, env=environment(), timeout=180)
            for line in enqueuing
        ]
        assert [done.returncode for done in said] == [0, 0], [done.stderr for done in said]
        assert '"title": "Welcome to Holdfast"' in said[0].stdout
        assert said[1].stdout == '"250 ok"\n'
    finally:
        process.terminate()
        until(lambda: process.poll() is not None)


def test_the_engine_alone_does_the_same(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(PYTHON[0])
    (tmp_path / "program.py").write_text(PYTHON[1])
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=180
    )
    assert (done.returncode, done.stdout) == (0, "250 ok\n"), done.stderr


def test_every_link_and_picture_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)|src(?:set)?=\"([^\"]+)\"", README):
        place = "".join(target)
        if not place.startswith("http"):
            assert (ROOT / place).exists(), place
