"""Which server answers for which slot: one server, whoever Sentinels name as primary, or the nodes of a Cluster.

A route is asked for each call and answers from what it knows; what it knows is renewed when a server redirects a call, when
a connection is made anew, and by ``tend``.  Slots are those of Redis Cluster; alone, everything is in one place.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Protocol

from redis.crc import key_slot
from redis.exceptions import AuthenticationError, RedisError

from engine.kernel.clock import Clock
from engine.kernel.errors import Unreachable
from engine.storage.redis.connect import CLUSTER, SENTINEL, Host, Target, dial
from engine.storage.redis.pool import Pool, PoolStats

#: seconds between two looks at the map of a Cluster while it is in doubt, and when it is not
LOOK_EVERY, LOOK_AGAIN = 0.5, 30.0
#: seconds between two questions to the Sentinels while all is well
ASK_EVERY = 5.0


class Route(Protocol):
    """Finds the pool for a slot."""

    def pool(self, slot: int) -> Pool:
        """Connections to the server of a slot.  Raises ``Unreachable``."""

    def redirected(self, slot: int, host: Host, keep: bool) -> Pool:
        """The server that another one named for a slot; ``keep`` is whether for all calls from now on."""

    def pools(self) -> list[Pool]:
        """All servers.  Raises ``Unreachable``."""

    def known(self) -> list[Pool]:
        """The servers known by now, without asking anybody."""

    def doubt(self) -> None:
        """A server did not answer: look again before the next call."""

    def tend(self) -> None:
        """See whether the right servers are known."""


class OnePlace:
    """One server, or the primary that Sentinels name at the moment."""

    def __init__(self, target: Target, clock: Clock) -> None:
        self._target = target
        self._clock = clock
        self._hosts = list(target.hosts)
        self._primary: Host | None = None
        self._asked = float("-inf")
        self._pool = Pool(target, self._resolve, clock)

    def pool(self, slot: int) -> Pool:
        return self._pool

    def redirected(self, slot: int, host: Host, keep: bool) -> Pool:
        raise Unreachable(
            f"Redis at {self._target.address} belongs to a Cluster; name it with redis+cluster:// in the setting redis"
        )

    def pools(self) -> list[Pool]:
        return [self._pool]

    known = pools

    def doubt(self) -> None:
        """Nothing to do: who the primary is is asked for each new connection."""

    def tend(self) -> None:
        """Leave a server that is not the primary any more."""
        before = self._primary
        if before is not None and self._clock.monotonic() - self._asked >= ASK_EVERY and self._resolve() != before:
            self._pool.disconnect()

    def _resolve(self) -> Host:
        if self._target.kind != SENTINEL:
            return self._target.hosts[0]
        self._primary = self._ask_sentinels()
        self._asked = self._clock.monotonic()
        return self._primary

    def _ask_sentinels(self) -> Host:
        silent = 0
        for host in tuple(self._hosts):
            try:
                found = ask_sentinel(self._target, host)
            except (RedisError, OSError, Unreachable):
                silent += 1
                continue
            if found is not None:
                # who answered is asked first from now on
                self._hosts.remove(host)
                self._hosts.insert(0, host)
                return found
        told = "no Sentinel answers" if silent == len(self._hosts) else "no Sentinel knows that primary"
        raise Unreachable(f"{told} at {self._target.address}; check the hosts and the name in the setting redis")


def ask_sentinel(target: Target, host: Host) -> Host | None:
    """The primary that one Sentinel names; it is told the password only if it asks for one."""
    connection = dial(target, host, watcher=True)
    try:
        question = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", target.service)
        try:
            connection.send_command(*question)
            told = connection.read_response()
        except AuthenticationError:
            if target.password is None:
                raise
            connection.send_command("AUTH", *filter(None, (target.username,)), target.password.reveal())
            connection.read_response()
            connection.send_command(*question)
            told = connection.read_response()
    finally:
        connection.disconnect()
    return None if not told else Host(told[0].decode(), int(told[1]))


class Cluster:
    """The nodes of a Cluster, a pool for each primary."""

    def __init__(self, target: Target, clock: Clock) -> None:
        self._target = target
        self._clock = clock
        self._lock = threading.RLock()
        #: held by who reads the map
        self._looking = threading.Lock()
        self._pools: dict[Host, Pool] = {}
        self._slots: dict[int, Host] = {}
        self._looked = float("-inf")
        self._doubted = False

    def pool(self, slot: int) -> Pool:
        host = self._slots.get(slot)
        if host is None or self._doubted:
            self._look()
            host = self._slots.get(slot)
        if host is None:
            raise Unreachable(f"no node of the Cluster at {self._target.address} serves slot {slot}; is it whole?")
        return self._at(host)

    def redirected(self, slot: int, host: Host, keep: bool) -> Pool:
        if keep:
            with self._lock:
                self._slots[slot] = host
                self._doubted = True
        return self._at(host)

    def pools(self) -> list[Pool]:
        if not self._slots:
            self._look()
        with self._lock:
            return [self._at(host) for host in sorted(set(self._slots.values()))]

    def doubt(self) -> None:
        self._doubted = True

    def tend(self) -> None:
        """Look at the map again and let go of nodes that serve nothing any more."""
        if self._doubted or self._clock.monotonic() - self._looked >= LOOK_AGAIN:
            self._look()
        with self._lock:
            gone = [self._pools.pop(host) for host in set(self._pools) - set(self._slots.values())]
        for pool in gone:
            pool.close()

    def known(self) -> list[Pool]:
        with self._lock:
            return list(self._pools.values())

    def _at(self, host: Host) -> Pool:
        with self._lock:
            if host not in self._pools:
                self._pools[host] = Pool(self._target, lambda: host, self._clock)
            return self._pools[host]

    def _look(self) -> None:
        """Read the map, unless somebody does or just did; who knows no map yet waits for it."""
        if not self._looking.acquire(blocking=not self._slots):
            return
        try:
            if not self._slots or self._clock.monotonic() - self._looked >= LOOK_EVERY:
                self._looked = self._clock.monotonic()
                self._read()
        finally:
            self._looking.release()

    def _read(self) -> None:
        """Which node serves which slots, from the first that answers.  Raises ``Unreachable`` if none ever did."""
        why = ""
        for host in dict.fromkeys((*self._slots.values(), *self._target.hosts)):
            try:
                slots = dict(read_slots(self._target, host))
            except (RedisError, OSError, Unreachable) as error:
                why = str(error)
                continue
            with self._lock:
                self._slots, self._doubted = slots, False
            return
        if not self._slots:
            raise Unreachable(f"no node of the Cluster at {self._target.address} answers: {why}")


def read_slots(target: Target, host: Host) -> Iterator[tuple[int, Host]]:
    """Each slot with the primary that serves it, as one node sees it."""
    connection = dial(target, host)
    try:
        connection.send_command("CLUSTER", "SLOTS")
        told = connection.read_response()
    finally:
        connection.disconnect()
    for first, last, primary, *_ in told:
        named = Host((primary[0] or b"").decode() or host.name, int(primary[1]))
        yield from ((slot, named) for slot in range(first, last + 1))


def route_of(target: Target, clock: Clock) -> OnePlace | Cluster:
    """The way to a target's servers."""
    return Cluster(target, clock) if target.kind == CLUSTER else OnePlace(target, clock)


def slot_of(key: str) -> int:
    """The slot of a key, or of its hash tag."""
    return int(key_slot(key.encode()))


def total(pools: list[Pool]) -> PoolStats:
    """The figures of all pools together."""
    found = PoolStats()
    for pool in pools:
        found = found.plus(pool.stats())
    return found
