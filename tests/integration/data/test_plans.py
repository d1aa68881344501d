"""How questions are answered: along indexes, never through the whole table.  SQLite shows its plans on small tables too."""

from __future__ import annotations

import random
import time

import pytest
from sqlalchemy import event, text

from data import Database, filters, queries
from tests.integration.data.conftest import Shop
from tests.support.histories import START

NOW = START + 3_600

FILTERS = [
    "", "state:dead", "queue:emails", "task:mail*", "task:mail.send state:completed", "tenant:acme", "-queue:emails",
    "error:timeout", "is:rescued", "since:1h", "since:1h queue:emails -state:dead", "key:k-1", "correlation:c",
    "id:12345678*", "fingerprint:f1 state:dead", "digest", "timeout -report",
]  # fmt: skip


@pytest.fixture
def url() -> str:
    return ""


@pytest.mark.parametrize("words", FILTERS)
@pytest.mark.parametrize("tenant", [None, "acme"])
def test_no_common_filter_scans_the_table(shop: Shop, words: str, tenant: str | None) -> None:
    asked: list[tuple[str, object]] = []
    event.listen(shop.db.engine, "before_cursor_execute", lambda c, k, sql, values, x, m: asked.append((sql, values)))
    filter = filters.parse(words)
    page = queries.list_jobs(shop.db, filter, now=NOW, tenant=tenant, limit=1)
    queries.list_jobs(shop.db, filter, now=NOW, tenant=tenant, limit=1, cursor=page.next_cursor)
    queries.count_by_state(shop.db, filter, now=NOW, tenant=tenant)
    queries.dead_groups(shop.db, tenant=tenant)
    queries.overview(shop.db, NOW, tenant=tenant)
    queries.names(shop.db, "queue", tenant=tenant)
    explained = [(sql, values) for sql, values in asked if sql.startswith(("SELECT", "WITH"))]
    assert len(explained) > 5
    with shop.db.reading() as connection:
        for sql, values in explained:
            steps = [step[3] for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all()]
            scans = [step for step in steps if step.startswith(("SCAN jobs", "SCAN minutes"))]
            assert all("jobs_dead" in scan or "jobs_rescued" in scan for scan in scans), (sql, scans)


@pytest.mark.parametrize("tenant", [None, "acme"])
def test_questions_about_conflicts_look_jobs_up_one_by_one(shop: Shop, tenant: str | None) -> None:
    asked: list[tuple[str, object]] = []
    event.listen(shop.db.engine, "before_cursor_execute", lambda c, k, sql, values, x, m: asked.append((sql, values)))
    queries.conflicts(shop.db, open_only=True, tenant=tenant)
    queries.count_conflicts(shop.db, tenant=tenant)
    queries.conflict(shop.db, "x", tenant=tenant)
    with shop.db.reading() as connection:
        for sql, values in [(sql, values) for sql, values in asked if sql.startswith("SELECT")]:
            steps = [step[3] for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all()]
            assert not [step for step in steps if step.startswith("SCAN jobs")], (sql, steps)
            assert [step for step in steps if "conflicts" in step and "INDEX" in step], (sql, steps)


MILLION = 1_000_000


def fill(db: Database) -> None:
    """A million jobs: nearly all completed, some of everything else, the rare ones rare."""
    values = (
        "SELECT i, printf('018bcfe5-%04x-7%03x-8000-%012x', i >> 16, i & 4095, i), "
        "CASE WHEN i % 100000 = 7 THEN 'payments' WHEN i % 3 = 0 THEN 'emails' ELSE 'documents' END, "
        "CASE WHEN i % 50000 = 9 THEN 'report.rare' WHEN i % 3 = 0 THEN 'mail.send' ELSE 'pdf.read' END, "
        "CASE WHEN i % 20 = 0 THEN 'acme' ELSE '' END, "
        "CASE WHEN i % 200 = 1 THEN 'dead' WHEN i % 1000 = 2 THEN 'retryable' WHEN i > 990000 THEN 'available' "
        "ELSE 'completed' END, 5, :start + i * 0.01, :start + i * 0.01, 0, 0, :start + i * 0.01 + 1, "
        "CASE WHEN i > 990000 THEN 0 ELSE :start + i * 0.01 + 2 END, 0, 1, 5, 0, 0, 0, 0, 'host-aaaaaa', '', '', '', '', "
        "CASE WHEN i % 200 = 1 THEN 'TimeoutError' ELSE '' END, CASE WHEN i % 200 = 1 THEN 'f' || (i % 7) ELSE '' END, "
        "NULL, '', '', '', CASE WHEN i % 200 = 1 THEN 'timed out after ' || i ELSE '' END, "
        "'{\"document\":\"' || hex(randomblob(60)) || '\"}', '{}', 'null' FROM count"
    )
    count = f"WITH RECURSIVE count(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM count WHERE i < {MILLION}) "
    with db.writing() as connection:
        connection.execute(text(f"INSERT INTO jobs {count}{values}"), {"start": START})


@pytest.mark.slow
def test_a_page_of_a_million_jobs_takes_less_than_200_ms(db: Database) -> None:
    fill(db)
    words = [*FILTERS, "queue:payments", "queue:payments state:dead", "task:report.rare", "task:report.rare queue:emails",
             "tenant:acme state:dead", "since:3h", "rare", "error:after", "agent:host-aaaaaa"]  # fmt: skip
    slow = {}
    for question in random.Random(1).sample(words, len(words)):
        filter = filters.parse(question)
        for ask in (queries.list_jobs, queries.count_jobs):
            took = min(_seconds(ask, db, filter) for _ in range(3))
            if took > 0.2:
                slow[question, ask.__name__] = round(took, 3)
            print(f"{ask.__name__:10} {question:40} {took * 1000:7.1f} ms")
    groups = min(_seconds(lambda db, *_, **__: queries.dead_groups(db), db, None) for _ in range(3))
    print(
        f"dead_groups {groups * 1000:.1f} ms; overview {_seconds(lambda db, *_, **__: queries.overview(db, NOW), db, None):.4f} s"
    )
    assert not slow and groups < 0.2


def _seconds(ask: object, db: Database, filter: filters.Filter | None) -> float:
    begin = time.perf_counter()
    assert callable(ask)
    ask(db, filter, now=START + MILLION * 0.01)
    return time.perf_counter() - begin
