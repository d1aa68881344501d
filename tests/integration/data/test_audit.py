"""The audit: a chain that only grows, and shows what was tampered with."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy.exc import DBAPIError

from data import Database, audit
from engine.kernel.errors import ValidationError
from tests.support.histories import START


def write(db: Database, count: int) -> None:
    for n in range(count):
        audit.append(db, "eva", "job.retry", f"job-{n}", "because", at=START + n, tenant="acme" if n % 2 else "")


def test_entries_are_chained_and_read_newest_first(db: Database) -> None:
    write(db, 5)
    rows = audit.page(db, limit=3)
    assert [row.n for row in rows] == [5, 4, 3] and rows[0].target == "job-4" and rows[0].at == START + 4
    assert [row.n for row in audit.page(db, before=3)] == [2, 1]
    assert [row.n for row in audit.page(db, tenant="acme")] == [4, 2]
    assert [row.n for row in audit.page(db, search="JOB-3")] == [4] and audit.page(db, action="x", actor="eva") == []
    assert audit.verify(db) is None and audit.head(db) == (5, rows[0].hash)


def test_an_empty_audit_is_whole(db: Database) -> None:
    assert audit.verify(db) is None and audit.head(db) == (0, audit.GENESIS)


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'x' WHERE n = 2", "DELETE FROM audit WHERE n = 2"])
def test_the_database_refuses_to_change_what_was_written(db: Database, statement: str) -> None:
    write(db, 3)
    with pytest.raises(DBAPIError, match="append-only"), db.writing() as connection:
        connection.exec_driver_sql(statement)
    assert audit.verify(db) is None


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE audit SET detail = 'nothing' WHERE n = 3", 3),
        ("UPDATE audit SET at = at + 1 WHERE n = 1", 1),
        ("DELETE FROM audit WHERE n = 2", 3),
        ("UPDATE audit SET n = 9 WHERE n = 5", 9),
    ],
)
def test_a_change_behind_the_triggers_is_found(db: Database, statement: str, broken: int) -> None:
    write(db, 5)
    with db.writing() as connection:
        if db.path:
            for verb in ("update", "delete"):
                connection.exec_driver_sql(f"DROP TRIGGER audit_no_{verb}")
        else:
            connection.exec_driver_sql("DROP TRIGGER audit_keep ON audit")
        connection.exec_driver_sql(statement)
    assert audit.verify(db) == broken


def test_a_head_kept_elsewhere_shows_a_cut_and_a_chain_made_anew(db: Database) -> None:
    write(db, 5)
    head = audit.head(db)
    assert audit.holds(db, *head)
    write(db, 1)
    assert audit.holds(db, *head), "later rows change nothing about it"
    assert not audit.holds(db, 5, audit.GENESIS) and not audit.holds(db, 7, head[1])
    with db.writing() as connection:
        if db.path:
            connection.exec_driver_sql("DROP TRIGGER audit_no_delete")
        else:
            connection.exec_driver_sql("DROP TRIGGER audit_keep ON audit")
        connection.exec_driver_sql("DELETE FROM audit WHERE n > 3")
    assert audit.verify(db) is None and not audit.holds(db, *head)


def test_many_writers_make_one_chain(db: Database) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            write(db, 10)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, name=f"writer-{n}") for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures and audit.head(db)[0] == 60 and audit.verify(db) is None


def test_secrets_do_not_reach_the_audit(db: Database) -> None:
    row = audit.append(db, "eva", "job.enqueue", "https://u:hunter2@host", '{"password": "hunter2"}', at=START)
    assert "hunter2" not in repr(row) and "hunter2" not in repr(audit.page(db))


def test_a_wrong_limit_is_refused(db: Database) -> None:
    with pytest.raises(ValidationError, match="limit"):
        audit.page(db, limit=0)
