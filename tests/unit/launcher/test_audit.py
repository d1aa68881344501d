"""``run.py audit verify``: reads the database itself, names the first entry that is wrong, and takes a head of before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.cli.audit import main
from data import Database, audit
from data.database import open_database
from engine.kernel.errors import Conflict, SettingsError


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Three entries, in the home ``tmp_path``."""
    database = open_database("", tmp_path)
    for n in range(3):
        audit.append(database, "eva", "job.retry", f"job-{n}", at=1.0)
    yield database
    database.close()


def tamper(database: Database, *statements: str) -> None:
    with database.writing() as connection:
        for verb in ("update", "delete"):
            connection.exec_driver_sql(f"DROP TRIGGER audit_no_{verb}")
        for statement in statements:
            connection.exec_driver_sql(statement)


def verify(database: Database, *argv: str) -> int:
    assert database.path
    return main(["verify", "--home", str(database.path.parent), *argv])


def test_a_whole_audit_is_told_with_its_head(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    number, digest = audit.head(database)
    assert verify(database, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["level"] == "ok" and found["text"].endswith(f"head {number}:{digest}")
    assert verify(database, "--head", f"{number}:{digest}") == 0


@pytest.mark.parametrize(
    ("statement", "entry"),
    [
        ("UPDATE audit SET actor = 'nobody' WHERE n = 2", 2),
        ("DELETE FROM audit WHERE n = 1", 2),
        ("UPDATE audit SET detail = x'ff' WHERE n = 3", 3),
    ],
)
def test_the_first_entry_that_was_tampered_with_is_named(
    database: Database, capsys: pytest.CaptureFixture[str], statement: str, entry: int
) -> None:
    tamper(database, statement)
    assert verify(database) == 1
    said = capsys.readouterr().out
    assert said.startswith("error") and f"entry {entry} is not as it was written" in said


def test_a_cut_is_found_by_a_head_of_before(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    number, digest = audit.head(database)
    tamper(database, "DELETE FROM audit WHERE n = 3")
    assert verify(database) == 0, "by itself a shorter chain is whole"
    assert verify(database, "--head", f"{number}:{digest}") == 1
    assert f"entry {number} is not the one of then" in capsys.readouterr().out


def test_a_table_that_cannot_be_read_is_an_error(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    tamper(database, "ALTER TABLE audit RENAME TO gone")
    assert verify(database) == 1
    assert "it cannot be read" in capsys.readouterr().out


def test_a_home_without_an_audit_and_a_file_that_is_no_database_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="there is no audit"):
        main(["verify", "--home", str(tmp_path)])
    assert not list(tmp_path.iterdir())
    (tmp_path / "holdfast.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(SettingsError, match="does not answer"):
        main(["verify", "--home", str(tmp_path)])


@pytest.mark.parametrize("head", ["12", "x:" + "0" * 64, "1:abc", "²:" + "0" * 64])
def test_a_head_that_is_none_is_wrong_usage(head: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["verify", "--head", head])
    assert ended.value.code == 2 and "audit verify printed" in capsys.readouterr().err
