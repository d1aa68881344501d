"""The key-value half of the storage contract, on every backend."""

from __future__ import annotations

import threading

from engine.kernel.clock import FakeClock
from engine.storage.base import Store


def test_a_value_is_there_until_it_is_deleted(store: Store) -> None:
    assert store.value("k") is None
    store.set_value("k", b"\x00v")
    assert store.value("k") == b"\x00v"
    assert store.swap("k", b"\x00v", None)
    assert store.value("k") is None


def test_a_value_with_a_time_to_live_expires(store: Store, clock: FakeClock) -> None:
    store.set_value("k", b"v", ttl=10)
    clock.advance(9)
    assert store.value("k") == b"v"
    clock.advance(2)
    assert store.value("k") is None
    assert store.values() == {}


def test_swap_writes_only_over_what_was_expected(store: Store) -> None:
    assert store.swap("lock", None, b"me")
    assert not store.swap("lock", None, b"you")
    assert not store.swap("lock", b"you", None)
    assert store.value("lock") == b"me"


def test_an_expired_value_counts_as_missing_for_swap(store: Store, clock: FakeClock) -> None:
    store.set_value("lock", b"dead holder", ttl=1)
    clock.advance(2)
    assert store.swap("lock", None, b"me")


def test_of_many_who_swap_at_once_one_wins(store: Store) -> None:
    wins: list[int] = []
    barrier = threading.Barrier(8)

    def race(number: int) -> None:
        barrier.wait()
        if store.swap("lock", None, str(number).encode()):
            wins.append(number)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [str(number).encode() for number in wins] == [store.value("lock")]


def test_counters_count_from_many_threads(store: Store) -> None:
    threads = [threading.Thread(target=lambda: [store.increment("n") for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.increment("n", 0) == 200


def test_values_of_a_prefix_are_listed_and_dropped(store: Store) -> None:
    for key in ("a:1", "a:2", "b:1"):
        store.set_value(key, key.encode())
    assert store.values("a:") == {"a:1": b"a:1", "a:2": b"a:2"}
    assert store.drop("a:") == 2
    assert store.values() == {"b:1": b"b:1"}
