"""Somebody with write access to the store's file plants things in it: nothing of it runs, all of it is set aside."""

from __future__ import annotations

import os
import pickle
import stat
from pathlib import Path

import pytest

from airgap.disk import InlineDisk
from airgap.shelf import Shelf
from engine.kernel.errors import StoreDamaged
from tests.support.journals import database, picture, some_jobs, store_in

INSERT = (
    "INSERT INTO Cache (key, raw, store_time, access_time, size, mode, filename, value) VALUES (?, ?, 0, 0, 0, ?, ?, ?)"
)


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, (str(self.path),))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    store = store_in(home)
    store.put(some_jobs(3))
    store.close()
    return home


def plant(home: Path, bomb: bytes, value_file: str) -> None:
    (home / "airgap" / "bomb.val").write_bytes(bomb)
    rows = [
        ("value", 1, 4, None, bomb),
        ("in-a-file", 1, 4, value_file, None),
        ("outside", 1, 2, "../../../../../../etc/passwd", None),
        (bomb, 0, 2, None, b"pickled key"),
        (2.5, 1, 2, None, b"float key"),
        ("text", 1, 1, None, "a text value"),
        (999_999, 1, 4, None, bomb),
    ]
    with database(home) as connection:
        connection.executemany(INSERT, rows)
    connection.close()


def test_planted_pickles_keys_and_files_run_nothing_and_are_set_aside(home: Path, tmp_path: Path) -> None:
    struck = tmp_path / "struck"
    plant(home, pickle.dumps(Bomb(struck)), "bomb.val")
    store = store_in(home)
    assert len(picture(store)) == 3
    assert len(store.quarantined()) == 7
    store.put(some_jobs(1))
    store.close()
    again = store_in(home)
    assert len(picture(again)) == 4
    assert len(again.quarantined()) == 7
    again.close()
    assert not struck.exists()
    assert (home / "airgap" / "bomb.val").exists(), "a file named by a planted row is left alone"


def test_a_planted_setting_of_diskcache_is_refused(home: Path) -> None:
    with database(home) as connection:
        connection.execute("INSERT INTO Settings VALUES ('_disk', 'x')")
    connection.close()
    with pytest.raises(StoreDamaged, match="_disk"):
        store_in(home)


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(home: Path) -> None:
    path = home / "airgap" / "cache.db"
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(StoreDamaged, match="nothing was changed"):
        store_in(home)
    assert path.read_bytes().startswith(b"not a database")


@pytest.mark.parametrize("key", [b"bytes", 1.5, None, ("tuple",), True])
def test_keys_of_other_types_are_refused(tmp_path: Path, key: object) -> None:
    with pytest.raises(TypeError):
        InlineDisk(str(tmp_path)).put(key)


@pytest.mark.parametrize("value", ["text", 1, None, object()])
def test_values_of_other_types_are_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(TypeError):
        InlineDisk(str(tmp_path)).store(value, False)


def test_the_shelf_syncs_each_commit_and_evicts_nothing(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.open()
    cache = shelf._open_cache
    assert (cache.eviction_policy, cache.cull_limit) == ("none", 0)
    assert cache._con.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    shelf.add(1, b"value", 0.0, sync=True)
    assert cache._con.execute("PRAGMA synchronous").fetchone() == (2,)
    assert cache.get(1) == b"value", "what the shelf writes, diskcache reads"
    shelf.close()


def test_only_the_owner_may_read_the_store(home: Path) -> None:
    for path in [home, *home.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
