"""Opening the history database: migrations, races, rights and clear refusals."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import data.migrations
from data import Database, open_database
from data.database import REVISION, revision
from data.tables import metadata
from engine.kernel.errors import SettingsError


def test_migrations_give_exactly_the_tables_that_the_code_knows(db: Database) -> None:
    with db.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_code_is_made_for_the_last_migration(db: Database) -> None:
    config = Config()
    config.set_main_option("script_location", os.path.dirname(data.migrations.__file__))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION == revision(db)


def test_opening_again_changes_nothing(db: Database, url: str, tmp_path: Path) -> None:
    again = open_database(url, tmp_path)
    assert revision(again) == REVISION
    again.close()


def test_two_processes_may_open_a_new_database_at_once(url: str, tmp_path: Path) -> None:
    code = "import sys; from data import open_database; open_database(sys.argv[1], sys.argv[2]).close()"
    command = [sys.executable, "-W", "error", "-c", code, url, str(tmp_path)]
    children = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    ends = [(child.communicate(timeout=180)[1], child.returncode) for child in children]
    assert all(code == 0 for _, code in ends), ends
    opened = open_database(url, tmp_path, migrate=False)
    assert revision(opened) == REVISION
    opened.close()


def test_a_database_of_a_newer_version_is_refused_in_one_line(db: Database, url: str, tmp_path: Path) -> None:
    with db.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SettingsError, match="written by another version") as caught:
        open_database(url, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("mysql://root:hunter2@host/x", "expected sqlite:///path or postgresql://"),
        ("nonsense", "expected sqlite"),
        ("postgresql://u:hunter2@127.0.0.1:1/x", "cannot use postgresql://127.0.0.1:1/x"),
    ],
)
def test_a_wrong_url_is_refused_without_its_password(wrong: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        open_database(wrong, tmp_path)
    assert says in str(caught.value) and "hunter2" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holdfast.db").write_bytes(b"not a database, " * 100)
    with pytest.raises(SettingsError, match="cannot use"):
        open_database("", tmp_path)


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    db = open_database("", tmp_path / "home")
    with db.reading() as connection:
        connection.exec_driver_sql("SELECT 1")
        modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "home").iterdir()}
    db.close()
    assert modes["holdfast.db"] == 0o600 and set(modes.values()) == {0o600}
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700


def test_a_database_may_be_a_file_elsewhere(tmp_path: Path) -> None:
    db = open_database(f"sqlite:///{tmp_path}/other.db", None)
    assert db.path == tmp_path / "other.db" and db.path.exists() and revision(db) == REVISION
    db.close()


def test_a_writer_that_fails_leaves_nothing(db: Database) -> None:
    with pytest.raises(RuntimeError), db.writing() as connection:
        connection.exec_driver_sql("INSERT INTO pauses VALUES ('q', true, 1, 'eva')")
        raise RuntimeError
    with db.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM pauses").scalar() == 0
