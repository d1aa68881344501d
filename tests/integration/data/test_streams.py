"""History over a real Redis: the streams of a fleet beside the journal of a node, through everything Redis may do."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from airgap.linked import LinkedStore
from airgap.opening import open_store
from console.cli import recorder as child
from console.cli.recorder_order import Order, redis_order
from data import Database, open_database, queries
from data.recorder import Recorder, follow
from data.streamed import StreamFollower
from engine.kernel import events as ev
from engine.kernel.bus import Bus
from engine.kernel.clock import SystemClock
from engine.kernel.job import new_id
from engine.kernel.settings import Settings
from engine.kernel.values import Secret
from engine.storage.redis.client import Client
from engine.storage.redis.connect import target_of
from engine.storage.redis.store import RedisStore
from engine.storage.redis.streams import StreamLog
from tests.support.histories import ListLog
from tests.support.redis_hosts import RedisHost, redis_host
from tests.support.stores import claim, end, enqueued, redis_store
from tests.support.waiting import until

CLOCK = SystemClock()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """History on SQLite: what is tried here is the road there."""
    database = open_database("", tmp_path / "history")
    yield database
    database.close()


@pytest.fixture
def store(redis_server: RedisHost) -> Iterator[RedisStore]:
    found = redis_store(redis_server.url, CLOCK)
    yield found
    found.close()


@contextmanager
def followed(
    db: Database, url: str, fleet: str, journal: ListLog | None = None, patience: float = 30.0
) -> Iterator[StreamFollower]:
    """A recorder that follows a journal and the streams, on a thread of its own; Redis is missed after its patience."""
    client = Client(target_of(url, timeout=patience), CLOCK)
    streams = StreamFollower(StreamLog(client, fleet, "recorder-test", CLOCK), CLOCK)
    recorder = Recorder(db, journal or ListLog(), CLOCK, streams=streams, fleet=fleet)
    stop = threading.Event()
    thread = threading.Thread(target=follow, args=(recorder, stop), name="recorder")
    streams.start()
    thread.start()
    try:
        yield streams
    finally:
        stop.set()
        thread.join(60)
        streams.stop()
        client.close()
    assert not thread.is_alive()


def run(store: RedisStore, most: int) -> None:
    """Claim jobs, and complete them."""
    held = claim(store, most)
    assert held is not None
    store.finish([end(ev.JobCompleted, job, held.token, CLOCK, result=b"1", queue="q") for job in held.jobs])


def states(db: Database) -> dict[str, int]:
    """How many jobs history has in each state."""
    return {state: count.n for state, count in queries.count_by_state(db, now=CLOCK.now()).items() if count.n}


def test_moves_that_redis_made_become_history(db: Database, store: RedisStore, redis_server: RedisHost) -> None:
    with followed(db, redis_server.url, store.fleet) as streams:
        store.put([enqueued(CLOCK) for _ in range(20)])
        run(store, 12)
        until(lambda: states(db) == {"available": 8, "completed": 12}, 60, "history follows")
        until(lambda: streams.pending == 0 and streams.lag() == 0.0, 60, "Redis is told")
        store.pause("q", True, "eva")
        until(lambda: queries.pauses(db)["q"].by == "eva" if queries.pauses(db) else False, 60, "the pause is told")
    assert not streams.away and streams.lost == 0


def test_what_was_told_while_nobody_followed_is_caught_up_with_once(
    db: Database, store: RedisStore, redis_server: RedisHost
) -> None:
    for done in (5, 10):
        store.put([enqueued(CLOCK) for _ in range(5)])
        run(store, 5)
        with followed(db, redis_server.url, store.fleet):
            until(lambda done=done: states(db) == {"completed": done}, 60, "history follows")  # type: ignore[misc]
    buckets = queries.throughput(db, CLOCK.now() - 600, CLOCK.now() + 60)
    assert (sum(b.enqueued for b in buckets), sum(b.completed for b in buckets)) == (10, 10)


def test_a_redis_that_is_away_does_not_keep_the_journal_from_history(db: Database) -> None:
    journal = ListLog("a" * 16)
    with redis_host() as host:
        store = redis_store(host.url, CLOCK)
        try:
            with followed(db, host.url, store.fleet, journal, patience=0.5) as streams:
                store.put([enqueued(CLOCK)])
                until(lambda: states(db) == {"available": 1}, 60, "the streams are followed")
                host.freeze()
                until(lambda: streams.away, 60, "Redis is missed")
                journal.add(enqueued(CLOCK))
                until(lambda: states(db) == {"available": 2}, 60, "the journal goes on")
                host.thaw()
                store.put([enqueued(CLOCK)])
                until(lambda: states(db) == {"available": 3} and not streams.away, 60, "the streams go on")
                host.restart()
                store.put([enqueued(CLOCK)])
                until(lambda: states(db) == {"available": 4}, 60, "an empty Redis begins anew")
        finally:
            store.close()


def test_a_database_that_is_away_loses_nothing_of_the_streams(
    db: Database, store: RedisStore, redis_server: RedisHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = threading.Event()
    plain = Database.plain

    def refuse(database: Database) -> object:
        if failing.is_set():
            failing.clear()
            raise OSError("disk gone")
        return plain(database)

    with followed(db, redis_server.url, store.fleet):
        store.put([enqueued(CLOCK) for _ in range(3)])
        until(lambda: states(db) == {"available": 3}, 60, "history follows")
    monkeypatch.setattr(Database, "plain", refuse)
    failing.set()
    store.put([enqueued(CLOCK) for _ in range(3)])
    with followed(db, redis_server.url, store.fleet):
        until(lambda: states(db) == {"available": 6}, 60, "history follows again")
    assert not failing.is_set()


# --- the recorder's own process, and nodes ---


@contextmanager
def node(home: Path, redis: RedisHost, fleet: str) -> Iterator[LinkedStore]:
    """A node's store, linked to Redis."""
    store = open_store(Settings(home=home, redis=redis.url, fleet=fleet), CLOCK, Bus())
    assert isinstance(store, LinkedStore)
    store.open()
    try:
        until(lambda: store.sending, 60, "the link stands")
        yield store
    finally:
        store.close()


@contextmanager
def recording(store: LinkedStore, db_home: Path) -> Iterator[None]:
    """The child of a console, without its process."""
    settings = store.settings
    keys = base64.b64encode(store.export_keys()).decode()
    database = f"sqlite:///{db_home}/holdfast.db"
    order = Order(str(settings.home), database, "warning", keys, "", redis_order(settings))
    stop, code = threading.Event(), []
    thread = threading.Thread(target=lambda: code.append(child.record(order, stop)), name="recorder")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
    assert code == [0]


def complete(store: LinkedStore) -> bool:
    """Claim and complete what there is; whether there was something."""
    held = claim(store, 20)
    if held is not None:
        ends = [end(ev.JobCompleted, job, held.token, CLOCK, result=b"1", queue="q") for job in held.jobs]
        assert store.finish(ends) == set()
    return held is not None


def test_a_console_tells_of_jobs_that_one_node_accepted_and_another_ran(
    db: Database, redis_server: RedisHost, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fleet = new_id()
    with ExitStack() as parts:
        here = parts.enter_context(node(tmp_path / "here", redis_server, fleet))
        there = parts.enter_context(node(tmp_path / "there", redis_server, fleet))
        parts.enter_context(recording(here, tmp_path / "history"))
        for accepts, runs in ((here, there), (there, here)):
            accepts.put([enqueued(CLOCK) for _ in range(10)])
            until(lambda runs=runs: complete(runs), 60, "the other node has them")  # type: ignore[misc]
        until(lambda: states(db) == {"completed": 20}, 60, "history follows")
        until(lambda: '"pending":0' in capfd.readouterr().out, 60, "the recorder tells how far it is")
    buckets = queries.throughput(db, CLOCK.now() - 600, CLOCK.now() + 60)
    assert (sum(b.enqueued for b in buckets), sum(b.completed for b in buckets)) == (20, 20)


def test_the_order_holds_what_opens_redis_and_does_not_show_it(tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path,
        redis="rediss://127.0.0.1:1/0",
        redis_password=Secret("hunter2-hunter2"),
        redis_ca=tmp_path / "ca",
    )
    order = redis_order(settings)
    assert order is not None and order.password == "hunter2-hunter2" and order.ca == str(tmp_path / "ca")
    assert "hunter2" not in repr(order) and "hunter2" not in repr(Order("h", "d", "info", "k", "", order))
    assert redis_order(Settings(home=tmp_path)) is None
