"""Room held back on the disk."""

from __future__ import annotations

import stat
from pathlib import Path

from airgap.ballast import SIZE, Ballast


def test_the_room_is_really_taken_until_it_is_dropped(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "reserve", 4 * 2**30)
    assert ballast.hold()
    status = ballast.path.stat()
    assert status.st_blocks * 512 >= SIZE
    assert stat.S_IMODE(status.st_mode) == 0o600
    ballast.drop()
    assert not ballast.held
    assert not ballast.path.exists()


def test_a_small_store_holds_back_little(tmp_path: Path) -> None:
    assert Ballast(tmp_path / "reserve", 2**20).size == 2**16


def test_room_that_is_not_there_is_not_held(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "reserve", 4 * 2**30)
    ballast.size = 2**62
    assert not ballast.hold()
    assert not ballast.path.exists()
    assert "kept for outcomes" in ballast.refusal()


def test_it_is_not_held_again_before_there_is_room_for_twice_as_much(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "reserve", 4 * 2**30)
    ballast.hold()
    ballast.drop()
    ballast.size = 2**62
    assert not ballast.restore()
    ballast.size = SIZE
    assert ballast.restore()
