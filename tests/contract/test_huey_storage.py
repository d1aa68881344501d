"""Huey's own tests, as they ship in its wheel, over our storage contract: the storage suite, and of Huey's API tests those
that lean on a storage, on every backend; then what only our facade promises."""

from __future__ import annotations

import datetime
import inspect
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from huey.api import Huey, chord
from huey.constants import EmptyData
from huey.tests import test_api, test_asyncio, test_priority, test_signals
from huey.tests.base import BaseTestCase
from huey.tests.test_storage import StorageTests

from airgap.storage import open_journal
from engine.kernel.bus import Bus
from engine.kernel.clock import SystemClock
from engine.kernel.errors import ValidationError
from engine.kernel.settings import Settings
from engine.storage.base import Store
from engine.storage.huey_facade import HueyFacade, band_of_huey, moment
from engine.storage.memory import MemoryStore
from tests.support.redis_hosts import RedisCluster, RedisHost
from tests.support.stores import redis_store


def memory(cleanup: ExitStack) -> Store:
    return MemoryStore()


def journal(cleanup: ExitStack) -> Store:
    home = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
    store = open_journal(Settings(home=home, durability="process"), SystemClock(), Bus())  # Huey's tests mind the time
    store.open()
    cleanup.callback(store.close)
    return store


def redis(cleanup: ExitStack) -> Store:
    return over("redis", cleanup)


def cluster(cleanup: ExitStack) -> Store:
    return over("cluster", cleanup)


def over(server: str, cleanup: ExitStack) -> Store:
    store = redis_store(URLS[server], SystemClock())
    cleanup.callback(store.close)
    return store


Backend = Callable[[ExitStack], Store]
BACKENDS: dict[str, Backend] = {"Memory": memory, "Journal": journal, "Redis": redis, "Cluster": cluster}
#: where the servers of this session are: Huey's test cases are classes, which take no fixtures
URLS: dict[str, str] = {}


@pytest.fixture(autouse=True, scope="module")
def _servers(redis_server: RedisHost, redis_cluster: RedisCluster) -> None:
    URLS.update(redis=redis_server.url, cluster=redis_cluster.url)


class OverOurStore(BaseTestCase):
    """Puts the facade under the Huey that a test case asks for."""

    backend: Backend

    def get_huey(self) -> Huey:
        huey = super().get_huey()
        cleanup = ExitStack()
        self.addCleanup(cleanup.close)
        huey.storage = HueyFacade("contract", store=type(self).backend(cleanup))
        return huey


class StorageSuite(StorageTests):
    """Huey's storage tests, its slow ones included."""

    test_put_if_empty_ttl = inspect.unwrap(StorageTests.test_put_if_empty_ttl)
    test_consumer_integration = inspect.unwrap(StorageTests.test_consumer_integration)


#: Huey's test cases that go through a storage
API_CASES = (
    test_api.TestQueue,
    test_api.TestAsyncTasks,
    test_api.TestDecorators,
    test_api.TestTaskHooks,
    test_api.TestGroupPrimitive,
    test_api.TestChordPrimitive,
    test_api.TestTaskChaining,
    test_api.TestTaskLocking,
    test_api.TestRateLimit,
    test_api.TestHueyAPIs,
    test_api.TestDisableResultStore,
    test_api.TestStoreIntermediateErrors,
    test_api.TestStorageWrappers,
    test_priority.TestPriority,
    test_signals.TestSignals,
    test_asyncio.TestAsyncioHelpers,
)


#: Huey's tests that hold only for its own memory storage, and why
NOT_OURS = {
    "test_reschedule_priority": "asks for 99 before 10; we have ten bands, and everything from 9 up is the first",
    "test_chord_bookkeeping_cleared": "looks into MemoryStorage; ours is test_a_chord_leaves_no_counter_behind",
}


def cases() -> Iterator[type]:
    for name, backend in BACKENDS.items():
        own = {"backend": staticmethod(backend), "__module__": __name__}
        yield type(f"Test{name}Storage", (StorageSuite, OverOurStore), own)
        for case in API_CASES if backend is not cluster else ():  # what differs in a Cluster is below all of these
            left_out = dict.fromkeys(NOT_OURS.keys() & vars(case).keys())
            yield type(f"{case.__name__}On{name}", (OverOurStore, case), own | left_out)


globals().update({case.__name__: case for case in cases()})


@pytest.fixture(params=BACKENDS.values(), ids=BACKENDS.keys())
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with ExitStack() as cleanup:
        yield request.param(cleanup)


@pytest.fixture
def facade(store: Store) -> HueyFacade:
    return HueyFacade("ours", store=store)


def in_threads(count: int, work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)


def test_eight_threads_take_each_message_once(facade: HueyFacade) -> None:
    for number in range(200):
        facade.enqueue(b"%d" % number)
    taken: list[bytes] = []

    def drain() -> None:
        while (data := facade.dequeue()) is not None:
            taken.append(data)

    in_threads(8, drain)
    assert sorted(map(int, taken)) == list(range(200))


def test_two_readers_of_the_schedule_share_what_is_due(facade: HueyFacade) -> None:
    long_ago = datetime.datetime(2000, 1, 1)
    for number in range(100):
        facade.add_to_schedule(b"%d" % number, long_ago + datetime.timedelta(seconds=number))
    read: list[bytes] = []
    in_threads(4, lambda: read.extend(facade.read_schedule(long_ago + datetime.timedelta(days=1))))
    assert sorted(map(int, read)) == list(range(100))
    assert facade.schedule_size() == 0


def test_eight_threads_put_if_empty_and_one_wins_each_key(facade: HueyFacade) -> None:
    winners: list[int] = []

    def claim_keys() -> None:
        winners.extend(number for number in range(20) if facade.put_if_empty(b"key-%d" % number, b"mine"))

    in_threads(8, claim_keys)
    assert sorted(winners) == list(range(20))


def test_eight_threads_pop_and_one_gets_the_value(facade: HueyFacade) -> None:
    facade.put_data("result", b"once")
    popped: list[object] = []
    in_threads(8, lambda: popped.append(facade.pop_data("result")))
    assert [value for value in popped if value is not EmptyData] == [b"once"]


def test_counters_lose_nothing_between_threads(facade: HueyFacade) -> None:
    in_threads(8, lambda: [facade.incr("n") for _ in range(25)] and None)
    assert facade.incr("n", 0) == 200


def test_a_chord_leaves_no_counter_behind(store: Store) -> None:
    huey = Huey("chords", storage_class=HueyFacade, store=store)

    @huey.task()
    def double(n: int) -> int:
        return n * 2

    @huey.task()
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    result = huey.enqueue(chord([double.s(1), double.s(2)], total.s()))
    for _ in range(3):
        huey.execute(huey.dequeue())
    assert result() == 6
    assert store.values("huey:chords:counter:") == {}


def test_two_apps_on_one_store_do_not_see_each_other(store: Store) -> None:
    one, other = HueyFacade("one", store=store), HueyFacade("other", store=store)
    one.enqueue(b"of one")
    one.put_data("key", b"of one")
    one.incr("n", 5)
    one.add_to_schedule(b"later", datetime.datetime(2000, 1, 1))
    assert other.dequeue() is None
    assert other.peek_data("key") is EmptyData
    assert other.incr("n") == 1
    other.flush_all()
    assert (one.queue_size(), one.schedule_size(), one.peek_data("key")) == (1, 1, b"of one")


def test_flushing_takes_thousands_of_messages(facade: HueyFacade) -> None:
    for number in range(1_100):
        facade.enqueue(b"%d" % number)
    facade.flush_queue()
    assert (facade.queue_size(), facade.dequeue()) == (0, None)


def test_a_blocking_dequeue_gets_a_message_that_comes_while_it_waits(store: Store) -> None:
    facade = HueyFacade("ours", store=store, wait=60)
    got: list[bytes | None] = []
    reader = threading.Thread(target=lambda: got.append(facade.dequeue()))
    reader.start()
    facade.enqueue(b"here")
    reader.join(30)
    assert got == [b"here"]


def test_results_expire_and_locks_do_not(store: Store) -> None:
    facade = HueyFacade("ours", store=store, result_ttl=0.0)
    facade.put_data("result", b"short", is_result=True)
    facade.put_data("lock", b"long")
    assert facade.peek_data("result") is EmptyData
    assert facade.peek_data("lock") == b"long"


def test_a_value_that_is_no_bytes_is_refused_and_nothing_changes(facade: HueyFacade) -> None:
    facade.put_data("key", b"before")
    with pytest.raises(TypeError, match="expected bytes, got object"):
        facade.put_data("key", object())  # type: ignore[arg-type]
    assert facade.peek_data("key") == b"before"


def test_a_name_that_could_reach_into_another_app_is_refused(store: Store) -> None:
    with pytest.raises(ValidationError, match="name"):
        HueyFacade("one:value", store=store)


@pytest.mark.parametrize(("priority", "band"), [(None, 10), (0, 10), (1, 9), (2.9, 8), (9, 1), (50, 1), (-3, 10)])
def test_higher_huey_priorities_become_earlier_bands(priority: Any, band: int) -> None:
    assert band_of_huey(priority) == band


def test_a_moment_keeps_order_and_zone() -> None:
    aware = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    assert moment(aware) == moment(datetime.datetime(2026, 1, 1, 10))
    assert moment(datetime.datetime(1960, 1, 1)) > 0
