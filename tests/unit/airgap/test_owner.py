"""One owner per home, in this process and across processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airgap.owner import OwnerLock, current_owner
from engine.kernel.errors import StoreOwned

HOLDER = """
import sys
from pathlib import Path
from airgap.owner import OwnerLock
OwnerLock(Path(sys.argv[1])).acquire(1_700_000_000.0)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_owner_in_this_process_is_refused(tmp_path: Path) -> None:
    first = OwnerLock(tmp_path / "owner.lock")
    first.acquire(1_700_000_000.0)
    with pytest.raises(StoreOwned, match=f"process {os.getpid()} on .* since 2023-11-14T22:13:20"):
        OwnerLock(tmp_path / "owner.lock").acquire(0.0)
    first.release()
    second = OwnerLock(tmp_path / "owner.lock")
    second.acquire(0.0)
    second.release()


def test_the_lock_of_another_process_names_it_and_goes_with_its_death(tmp_path: Path) -> None:
    path = tmp_path / "owner.lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None and holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    owner = current_owner(path)
    assert owner is not None and owner.pid == holder.pid
    with pytest.raises(StoreOwned, match=f"process {holder.pid} "):
        OwnerLock(path).acquire(0.0)
    holder.kill()
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    assert current_owner(path) is None
    lock = OwnerLock(path)
    lock.acquire(0.0)
    lock.release()


def test_nobody_owns_a_home_that_was_never_taken(tmp_path: Path) -> None:
    assert current_owner(tmp_path / "owner.lock") is None
