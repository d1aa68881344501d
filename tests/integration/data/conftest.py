"""Every test here runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from data import Database, open_database
from data.recorder import Recorder
from engine.kernel import events as ev
from engine.kernel.clock import FakeClock
from engine.kernel.job import new_id
from tests.support import postgres
from tests.support.histories import START, ListLog, claimed, completed, dead, ended, enqueued, failure


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[postgres.Cluster]:
    with postgres.cluster() as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty database; "" is SQLite in the home folder."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield ""
        else:
            yield stack.enter_context(request.getfixturevalue("postgres_cluster").database())


@pytest.fixture
def db(url: str, tmp_path: Path) -> Iterator[Database]:
    database = open_database(url, tmp_path)
    yield database
    database.close()


class Story:
    """A history that is being written."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.clock = FakeClock()
        self.log = ListLog()
        self.recorder = Recorder(db, self.log, self.clock)

    def tell(self, *events: ev.Event) -> None:
        """Let things happen in one segment, and record them."""
        self.log.add(*events)
        self.recorder.catch_up()


class Shop(Story):
    """A history with a little of everything; ``ids`` by name."""

    names = ("mail", "mail_acme", "dead_a", "dead_b", "retry", "later", "waiting", "rescued")

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self.ids = {name: new_id() for name in self.names}


@pytest.fixture
def story(db: Database) -> Iterator[Story]:
    found = Story(db)
    yield found
    found.recorder.close()


@pytest.fixture
def shop(db: Database) -> Iterator[Shop]:
    story = Shop(db)
    ids = story.ids
    story.tell(
        enqueued(ids["mail"], START, task="mail.send", queue="emails", idempotency_key="k-1", correlation_id="c 1"),
        enqueued(ids["mail_acme"], START + 1, task="mail.digest", queue="emails", tenant="acme", priority=1),
        enqueued(ids["dead_a"], START + 2, task="report.make", queue="reports"),
        enqueued(ids["dead_b"], START + 3, task="report.make", queue="reports", tenant="acme"),
        enqueued(ids["retry"], START + 4, task="web.hook", queue="webhooks"),
        enqueued(ids["later"], START + 5, task="web.hook", queue="webhooks", run_at=START + 3_600 + 99),
        enqueued(ids["waiting"], START + 6, task="mail.send", queue="emails"),
        enqueued(ids["rescued"], START + 7, task="web.hook", queue="webhooks"),
    )
    story.tell(
        *completed(ids["mail"], START + 10, token=1),
        *completed(ids["mail_acme"], START + 70, token=2),
        *dead(ids["dead_a"], START + 20, failure("TimeoutError", "Connection 100% timed_out", "f1"), token=3),
        *dead(ids["dead_b"], START + 30, failure("TimeoutError", "connection timed out again", "f1"), token=4),
        claimed(ids["retry"], token=5, at=START + 9),
        ended(
            ev.JobRetryScheduled,
            ids["retry"],
            5,
            at=START + 40,
            run_at=START + 3_600 + 50,
            failure=failure("OSError", "no", "f2"),
        ),
        claimed(ids["rescued"], token=6, at=START + 8, agent="host-bbbbbb"),
        ended(ev.JobRescued, ids["rescued"], 6, at=START + 15, worker=""),
    )
    yield story
    story.recorder.close()
