"""The client on a real server: answers, faults of the network, refusals, many threads, and words that help."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from engine.kernel.errors import HoldfastError, StoreFull, Unreachable
from engine.kernel.values import Secret
from engine.storage.redis.client import Client, Script
from engine.storage.redis.connect import target_of
from engine.storage.redis.pool import Pool
from tests.support.partition import Partition
from tests.support.redis_hosts import RedisHost, redis_host
from tests.support.waiting import until

#: seconds that Redis may take where nothing is wrong with it: more than a busy machine keeps it standing still
ANSWER = 20.0
ECHO = Script.of("echo", "return {KEYS[1], ARGV[1]}")
COUNT = Script.of("count", "return redis.call('INCRBY', KEYS[1] .. 'n', ARGV[1])")
SLOW = Script.of("slow", "return redis.call('INCR', KEYS[1] .. 'slow')")


@contextmanager
def client_of(url: str, **options: Any) -> Iterator[Client]:
    """A client that is closed at the end."""
    made = Client(target_of(url, **{"timeout": ANSWER} | options))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def client(redis_server: RedisHost) -> Iterator[Client]:
    redis_server.flush()
    with client_of(redis_server.url) as made:
        yield made


def test_a_script_gets_its_tag_and_its_bytes_as_they_are(client: Client) -> None:
    assert client.call(ECHO, "{a}:", b"\x00\xff") == [b"{a}:", b"\x00\xff"]


def test_scripts_that_the_server_forgot_are_sent_again_and_only_they(client: Client, redis_server: RedisHost) -> None:
    assert client.pipeline([(COUNT, "{a}", (1,)), (ECHO, "{a}", ("x",))]) == [1, [b"{a}", b"x"]]
    redis_server.cli("SCRIPT", "FLUSH")
    client.command("SCRIPT", "LOAD", COUNT.source)
    assert client.pipeline([(COUNT, "{a}", (1,)), (ECHO, "{a}", ("x",)), (COUNT, "{a}", (1,))]) == [
        2, [b"{a}", b"x"], 3,
    ]  # fmt: skip


def test_what_one_call_of_a_pipeline_met_is_told_in_its_place(client: Client) -> None:
    wrong = Script.of("wrong", "return redis.error_reply('NOPE not today')")
    first, refused, last = client.pipeline([(COUNT, "{a}", (1,)), (wrong, "{a}", ()), (COUNT, "{a}", (1,))])
    assert (first, last) == (1, 2)
    assert isinstance(refused, HoldfastError)
    assert str(refused).endswith("refused wrong: NOPE not today")


def test_commands_and_what_each_primary_says(client: Client) -> None:
    assert client.commands([("SET", "{a}x", 1), ("LPUSH", "{a}x", 2), ("GET", "{a}x")], key="{a}")[::2] == [b"OK", b"1"]
    assert client.everywhere("DBSIZE") == [1]


def test_a_blocking_call_takes_no_connection_from_the_others(redis_server: RedisHost) -> None:
    with client_of(redis_server.url, pool_max=1) as client, ThreadPoolExecutor(1) as others:
        waiting = others.submit(client.blocking, 60, "BLPOP", "{w}", 60)
        until(lambda: b"blocked_clients:1" in redis_server.cli("INFO", "clients"))
        assert client.command("LPUSH", "{w}", "go") == 1
        assert waiting.result(60) == [b"{w}", b"go"]
        assert client.blocking(0.1, "BLPOP", "{w}", "0.01") is None


def test_messages_are_heard_and_a_lost_connection_is_told_once(client: Client, redis_server: RedisHost) -> None:
    heard = client.subscribe("one")
    assert heard.listen(0) is None
    heard.add("two")
    until(lambda: redis_server.cli("PUBLISH", "two", "hello") == 1)
    assert heard.listen(60) == ("two", b"hello")
    client.disconnect()
    with pytest.raises(Unreachable):
        heard.listen(5)
    assert heard.listen(0) is None
    until(lambda: redis_server.cli("PUBLISH", "two", "again") == 1)
    assert heard.listen(60) == ("two", b"again")
    heard.drop("two")
    until(lambda: redis_server.cli("PUBLISH", "two", "nobody") == 0)
    heard.end()


def test_a_listener_that_is_closed_by_another_thread_returns(client: Client) -> None:
    heard = client.subscribe("one")
    with ThreadPoolExecutor(1) as others:
        listening = others.submit(heard.listen, 30)
        until(lambda: client.stats().in_use == 1)
        heard.close()
        assert listening.result(25) is None
    heard.end()


def test_calls_under_way_end_at_once_when_all_is_dropped_and_the_next_one_works(redis_server: RedisHost) -> None:
    redis_server.flush()
    with client_of(redis_server.url, timeout=60) as client, ThreadPoolExecutor(2) as others:
        assert client.call(COUNT, "{a}", 0) == 0
        calls = [others.submit(client.blocking, 60, "BLPOP", "{b}", 60)]
        until(lambda: b"blocked_clients:1" in redis_server.cli("INFO", "clients"))
        redis_server.freeze()
        try:
            calls.append(others.submit(client.call, COUNT, "{a}", 1))
            until(lambda: client.stats().in_use == 2)
            client.disconnect()
            errors = [call.exception(30) for call in calls]
        finally:
            redis_server.thaw()
        assert all(isinstance(error, Unreachable) for error in errors)
        until(lambda: answers(client))


def answers(client: Client) -> bool:
    """Whether a call goes through."""
    try:
        client.call(COUNT, "{a}", 0)
    except Unreachable:
        return False
    return True


def test_a_pool_has_a_least_and_a_most_and_counts_what_it_does(redis_server: RedisHost) -> None:
    with client_of(redis_server.url, pool_min=2, pool_max=3) as client:
        client.open()
        until(lambda: client.stats().connections == 2)
        with ThreadPoolExecutor(8) as others:
            assert sorted(others.map(lambda _: client.call(COUNT, "{p}", 1), range(200))) == list(range(1, 201))
        stats = until(lambda: not (found := client.stats()).in_use and found)
        assert stats.most <= 3
        assert (stats.in_use, stats.made) == (0, stats.connections)
        redis_server.cli("DEL", "{p}n")


def test_who_waits_in_vain_for_a_connection_is_told_which_setting_to_raise(redis_server: RedisHost) -> None:
    with client_of(redis_server.url, pool_max=1, timeout=2.0) as client:
        pool = client._route.pools()[0]
        assert isinstance(pool, Pool)
        with pool.wire(), pytest.raises(Unreachable, match=r"all 1 connections .* in use .* raise redis_pool_max"):
            client.call(COUNT, "{a}", 0)
        assert (client.stats().waits, client.stats().timeouts) == (1, 1)
        until(lambda: answers(client))


def test_idle_connections_are_asked_and_dead_ones_replaced(redis_server: RedisHost) -> None:
    with Partition(redis_server.port) as network, client_of(network.url, pool_min=2) as client:
        client.run_once()
        assert client.stats().connections == 2
        network.reset()
        network.heal()
        until(lambda: answers(client))
        client.run_once()
        assert client.stats().connections == 2


FAULTS = {
    "refused": lambda network: network.refuse(),
    "reset": lambda network: network.reset(),
    "dropped": lambda network: network.drop(),
    "half-open": lambda network: network.half_open(),
    "no answers": lambda network: network.one_way("up"),
    "no questions": lambda network: network.one_way("down"),
    "too late": lambda network: network.delay(5.0),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("known", [True, False], ids=["connected", "new"])
def test_whatever_the_network_does_a_call_ends_in_time_and_works_when_it_is_over(
    redis_server: RedisHost, fault: str, known: bool
) -> None:
    with Partition(redis_server.port) as network, client_of(network.url, timeout=0.15) as client:
        if known:
            until(lambda: answers(client))
        FAULTS[fault](network)
        if not (known and fault == "half-open"):
            began = time.monotonic()
            with pytest.raises(Unreachable) as told:
                client.call(COUNT, "{a}", 0)
            assert time.monotonic() - began < 30
            assert network.url in str(told.value) or f"127.0.0.1:{network.port}" in str(told.value)
            (element,) = client.pipeline([(COUNT, "{a}", (0,))])
            assert isinstance(element, Unreachable)
        network.heal()
        until(lambda: answers(client))


def test_nothing_is_sent_twice_when_its_answer_is_lost(redis_server: RedisHost) -> None:
    redis_server.cli("DEL", "{once}slow")
    with Partition(redis_server.port) as network, client_of(network.url) as client:
        client.call(SLOW, "{once}")
        network.one_way("up")
        with pytest.raises(Unreachable):
            client.call(SLOW, "{once}", timeout=0.15)
        until(lambda: redis_server.cli("GET", "{once}slow") == b"2", what="it was carried out")
        network.heal()
        until(lambda: answers(client))
    assert redis_server.cli("GET", "{once}slow") == b"2"


def test_a_server_that_is_gone_is_left_alone_between_tries(redis_server: RedisHost) -> None:
    with Partition(redis_server.port) as network, client_of(network.url, timeout=0.15) as client:
        network.refuse()
        for _ in range(200):
            with pytest.raises(Unreachable):
                client.call(COUNT, "{a}", 0)
        assert client.stats().made == 0
        network.heal()
        until(lambda: answers(client))


def test_an_answer_may_take_as_long_as_a_caller_says(redis_server: RedisHost) -> None:
    with Partition(redis_server.port) as network, client_of(network.url, timeout=60) as client:
        assert answers(client)
        network.drop()
        began = time.monotonic()
        with pytest.raises(Unreachable, match="did not answer in time"):
            client.call(COUNT, "{a}", 0, timeout=0.1)
        assert time.monotonic() - began < 30


def test_a_closed_client_says_so(redis_server: RedisHost) -> None:
    with client_of(redis_server.url) as client:
        client.open()
        assert answers(client)
        client.close()
        with pytest.raises(Unreachable, match="were closed"):
            client.call(COUNT, "{a}", 0)
        assert client.stats().connections == 0
        until(lambda: "redis-keeper" not in [thread.name for thread in threading.enumerate()], what="its thread ends")


def test_a_full_server_is_a_full_store(redis_server: RedisHost) -> None:
    fill = Script.of("fill", "return redis.call('SET', KEYS[1], ARGV[1])")
    with redis_host(maxmemory="2mb", maxmemory_policy="noeviction") as host, client_of(host.url) as client:
        with pytest.raises(StoreFull, match=r"is full \(maxmemory\).*at fill"):
            for index in range(100):
                client.call(fill, f"{{k{index}}}", b"x" * 100_000)
        assert client.server().maxmemory == 2 * 2**20


def test_a_server_that_may_not_write_counts_as_unreachable() -> None:
    with redis_host(min_replicas_to_write=1) as host, client_of(host.url) as client:
        with pytest.raises(Unreachable, match="too few replicas follow it"):
            client.call(COUNT, "{a}", 1)
        with (
            redis_host(replicaof=f"127.0.0.1 {host.port}") as replica,
            client_of(replica.url) as follower,
            pytest.raises(Unreachable, match="is a read-only replica; name its primary"),
        ):
            follower.call(COUNT, "{a}", 1)


def test_a_primary_that_becomes_a_replica_is_left_and_taken_again_when_it_is_one() -> None:
    with (
        redis_host(repl_diskless_sync_delay=0) as other,
        redis_host() as host,
        client_of(host.url) as client,
    ):
        assert answers(client)
        host.cli("REPLICAOF", "127.0.0.1", other.port)
        until(lambda: b"master_link_status:up" in host.cli("INFO", "replication"))
        for _ in range(2):
            with pytest.raises(Unreachable, match="is a read-only replica"):
                client.call(COUNT, "{a}", 1)
        assert client.stats().connections == 0
        host.cli("REPLICAOF", "NO", "ONE")
        until(lambda: answers(client))


def test_a_server_that_throws_jobs_away_is_warned_about_once(caplog: pytest.LogCaptureFixture) -> None:
    with redis_host(maxmemory_policy="allkeys-lru") as host, client_of(host.url) as client:
        client.run_once()
        client.run_once()
    (told,) = [
        record.getMessage()
        for record in caplog.records
        if (record.name, record.levelname) == ("holdfast.redis", "WARNING")
    ]
    assert "maxmemory-policy is allkeys-lru" in told
    assert "CONFIG SET maxmemory-policy noeviction" in told


PASSWORD = "hunter2-hunter2"
USER = f"jobs on >{PASSWORD} ~hf:* +@read +@write +@scripting +@connection"


def test_a_password_is_used_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    with redis_host(requirepass=PASSWORD, user=USER) as host:
        right = Secret(PASSWORD)
        with client_of(host.url, password=right) as client:
            assert answers(client)
            assert PASSWORD not in f"{client!r} {client.target!r} {client.target} {client.address} {vars(client)}"
        with client_of(host.url.replace("//", f"//jobs:{PASSWORD}@")) as client:
            assert client.command("SET", "hf:x", 1) == b"OK"
            assert client.address == host.url
            with pytest.raises(Unreachable, match=r"does not let this user .*(config|CONFIG)") as told:
                client.command("CONFIG", "GET", "save")
        for options in ({}, {"password": Secret("wrong-" + PASSWORD)}, {"username": "nobody", "password": right}):
            with client_of(host.url, **options) as client, pytest.raises(Unreachable) as told:
                client.call(COUNT, "hf:", 0)
            assert "redis_password" in str(told.value)
            assert PASSWORD not in str(told.value) + repr(told.getrepr(showlocals=False))
    assert PASSWORD not in caplog.text


def test_a_server_tells_what_it_is(client: Client) -> None:
    told = client.server()
    assert told.version >= (6, 2)
    assert (told.role, told.maxmemory_policy, told.persistence, told.nodes) == ("master", "noeviction", "none", 1)
