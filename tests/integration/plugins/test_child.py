"""Work in a child process: whatever it does, the parent gets an answer or a clear end, and no process is left."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine import Cancel, Discard
from engine.kernel.clock import SystemClock
from engine.kernel.errors import AttemptTimeout
from plugins import child
from plugins.manifest import Limits
from tests.support.waiting import until


def run(
    name: str, seconds: float = 120.0, check: Any = lambda: None, steps: list[Any] | None = None, **request: Any
) -> Any:
    heard = steps if steps is not None else []
    work = child.Work(f"tests.support.works:{name}", request, Limits(memory_mb=200, cpu_seconds=2), seconds)
    with tempfile.TemporaryFile() as source:
        source.write(b"some bytes")
        source.seek(0)
        return child.run(work, source, SystemClock(), lambda value, message: heard.append((value, message)), check)


@pytest.fixture(autouse=True)
def no_child_is_left() -> Any:
    before = {process.pid for process in psutil.Process().children()}
    yield
    assert {process.pid for process in psutil.Process().children()} <= before


def test_the_child_gets_request_and_bytes_and_sees_none_of_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_ADMIN_TOKEN", "hush")
    steps: list[Any] = []
    answer = run("echo", steps=steps, a=1)
    assert answer["request"] == {"a": 1} and answer["bytes"] == "some bytes" and answer["cwd"] == "/"
    assert not [name for name in answer["environment"] if name.startswith("HOLDFAST")]
    assert steps == [(0.5, "half")]


def test_work_that_refuses_or_needs_too_much_is_discarded_with_the_reason() -> None:
    for name, reason in (
        ("refuse", "not this one"),
        ("swallow", "more than 200 MB of memory"),
        ("dive", "nested too deeply"),
        ("spin", "more than 2 s of CPU"),
    ):
        with pytest.raises(Discard, match=reason):
            run(name)


def test_a_crash_and_an_unexpected_error_are_worth_another_attempt() -> None:
    with pytest.raises(child.ChildCrashed, match="status -11"):
        run("crash")
    with pytest.raises(child.ChildCrashed, match="LookupError: unexpected"):
        run("raise_error")


def test_what_a_parser_prints_is_not_taken_for_an_answer() -> None:
    assert run("chatter") == {"forged": False}


def test_the_child_cannot_write_files(tmp_path: Path) -> None:
    assert run("write_file", path=str(tmp_path / "left"))["error"]
    assert not (tmp_path / "left").exists() or (tmp_path / "left").stat().st_size == 0


def test_a_child_that_hangs_is_killed_at_its_time_or_at_a_wish() -> None:
    steps: list[Any] = []
    with pytest.raises(AttemptTimeout, match=r"longer than 0\.5 s"):
        run("hang", seconds=0.5)

    def stop_once_it_runs() -> None:
        if steps:
            raise Cancel("enough")

    with pytest.raises(Cancel):
        run("hang", check=stop_once_it_runs, steps=steps)
    assert not psutil.pid_exists(int(steps[0][1]))


def test_a_child_ends_with_its_parent_even_if_that_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-m", "tests.support.works"], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
    finally:
        parent.kill()
        parent.communicate()
    until(lambda: not _alive(pid), 60, "the child is gone")


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
