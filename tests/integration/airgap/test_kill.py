"""kill -9 in the middle of work: what was acknowledged is there when the home is opened again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from airgap import JournalStore
from engine.kernel.clock import SystemClock
from engine.kernel.job import JobState
from tests.support.journals import picture, store_in

POINTS = [
    "put.before_append",
    "commit.before_write",
    "commit.after_write",
    "claim.after_commit",
    "finish.after_commit",
    "checkpoint.before_write",
    "checkpoint.after_chunk",
    "checkpoint.after_head",
    "trim.after_delete",
    "rotate.after_key",
]


def run_until_killed(home: Path, durability: str, fault: str = "", lines: int = 10_000) -> dict[str, set[str]]:
    """What a child said before it died: at a fault point, or killed after so many lines."""
    said: dict[str, set[str]] = {"accepted": set(), "finished": set()}
    command = [sys.executable, "-m", "tests.integration.airgap.writer_child", str(home), durability, fault]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for count, line in enumerate(child.stdout):
        word, _, id_ = line.rstrip("\n").partition(" ")
        if len(id_) == 36:
            said[word].add(id_)
        if count == lines:
            child.kill()
    child.stdout.close()
    assert child.wait(120) == -9
    return said


def check(store: JournalStore, accepted: set[str], finished: set[str]) -> None:
    """Nothing accepted is lost, nothing finished runs again, nothing stays claimed, nothing was damaged."""
    live = picture(store)
    told = accepted | finished
    known = store.get(told)
    assert told <= known.keys(), f"{len(told - known.keys())} of {len(told)} jobs are lost"
    assert {known[id_].state for id_ in finished} <= {JobState.COMPLETED}
    assert not any(view.state == JobState.RUNNING for view in live.values())
    assert store.quarantined() == []


@pytest.mark.parametrize("fault", POINTS)
def test_a_kill_at_a_fault_point_loses_nothing_that_was_acknowledged(tmp_path: Path, fault: str) -> None:
    accepted: set[str] = set()
    finished: set[str] = set()
    for passage in (1, 2):
        said = run_until_killed(tmp_path, "process", f"{fault}:{passage}")
        accepted |= said["accepted"]
        finished |= said["finished"]
        store = store_in(tmp_path, SystemClock())
        check(store, accepted, finished)
        store.close()


@pytest.mark.parametrize("durability", ["power", "process"])
def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path: Path, durability: str) -> None:
    accepted: set[str] = set()
    finished: set[str] = set()
    for lines in (40, 800):
        said = run_until_killed(tmp_path, durability, lines=lines)
        assert said["accepted"]
        accepted |= said["accepted"]
        finished |= said["finished"]
        store = store_in(tmp_path, SystemClock(), durability=durability)
        check(store, accepted, finished)
        store.close()


@pytest.mark.chaos
def test_a_hundred_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    accepted: set[str] = set()
    finished: set[str] = set()
    for round_ in range(100):
        fault = f"{POINTS[round_ % len(POINTS)]}:{1 + round_ % 7}" if round_ % 3 else ""
        said = run_until_killed(tmp_path, "power", fault, lines=50 + 7 * round_)
        accepted |= said["accepted"]
        finished |= said["finished"]
        store = store_in(tmp_path, SystemClock())
        check(store, accepted, finished)
        store.close()
    assert len(accepted) > 1000
