"""Calls to Redis: scripts, commands, pipelines, over pools of connections, to one server, Sentinels or a Cluster.

Invariants: nothing that may have been carried out is sent twice; only NOSCRIPT, MOVED and ASK, which say that nothing was,
lead to another sending.  Whatever keeps an answer from coming is ``Unreachable``.  Answers are not decoded.  All methods may
be called from any thread; ``disconnect`` ends the calls of the others at once.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from engine.kernel.clock import Clock, SystemClock
from engine.kernel.errors import HoldfastError, Unreachable
from engine.storage.redis.about import ServerInfo, about, careless, fields
from engine.storage.redis.connect import CLUSTER, Host, Target
from engine.storage.redis.errors import asks, redirection, translated
from engine.storage.redis.pool import Pool, PoolStats
from engine.storage.redis.routes import route_of, slot_of, total
from engine.storage.redis.subscription import Subscription
from engine.storage.redis.wire import Command, Script, ScriptCall, Wire

__all__ = ["Client", "PoolStats", "Script", "ServerInfo", "Subscription"]

log = logging.getLogger("holdfast.redis")

#: redirections that one call follows
HOPS = 4
#: seconds between two looks of the keeper at the pools
TEND_EVERY = 2.0
#: what is sent over a wire, and its answers
Sending = Callable[[Wire], list[Any]]


class Client:
    """Speaks to one Redis, however many servers that is.  Makes no connection before it is used."""

    def __init__(self, target: Target, clock: Clock | None = None) -> None:
        self.target = target
        self.address = target.address
        self.cluster = target.kind == CLUSTER
        self._clock = clock or SystemClock()
        self._route = route_of(target, self._clock)
        self._stop = threading.Event()
        self._silenced = ""
        self._looked = False
        self._keeper: threading.Thread | None = None
        self._subscriptions: weakref.WeakSet[Subscription] = weakref.WeakSet()

    def open(self) -> None:
        """Keep the minimum of connections warm from now on."""
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep, name="redis-keeper", daemon=True)
            self._keeper.start()

    def close(self) -> None:
        """Drop all connections for good."""
        self._stop.set()
        for subscription in tuple(self._subscriptions):
            subscription.close()
        for pool in self._route.known():
            pool.close()
        if self._keeper is not None:
            self._keeper.join(1)

    def call(self, script: Script, tag: str, *args: Any, timeout: float | None = None) -> Any:
        """What a script answers, run with ``tag`` as its one key.  Raises ``Unreachable``, ``StoreFull``."""
        return self._raise(self._settle(slot_of(tag), [ScriptCall(script, tag, args)], timeout)[0])

    def pipeline(self, calls: Sequence[tuple[Script, str, Sequence[Any]]], timeout: float | None = None) -> list[Any]:
        """Answers of many scripts, in their order, sent together to each server; what a call met instead is an element."""
        answers: list[Any] = [None] * len(calls)
        for slot, indexes in self._by_place([tag for _, tag, _ in calls]).items():
            found = self._settle(slot, [ScriptCall(*calls[index]) for index in indexes], timeout)
            for index, answer in zip(indexes, found, strict=True):
                answers[index] = answer
        return answers

    def command(self, name: str, *args: Any, key: str | None = None, timeout: float | None = None) -> Any:
        """What one command answers; ``key`` says where in a Cluster, else its first argument."""
        return self._raise(self._commands(self._slot(key, args), [(name, *args)], timeout)[0])

    def commands(self, commands: Sequence[Sequence[Any]], key: str, timeout: float | None = None) -> list[Any]:
        """Answers of commands that are sent together to the server of ``key``; what one met instead is an element."""
        return self._commands(slot_of(key), [tuple(command) for command in commands], timeout)

    def everywhere(self, name: str, *args: Any) -> list[Any]:
        """What one command answers on each primary."""
        found = []
        for pool in self._pools():
            with pool.wire() as wire:
                found += wire.exchange([(name, *args)])
        return [self._raise(self._ours(answer, name)) for answer in found]

    def blocking(self, timeout: float, name: str, *args: Any, key: str | None = None) -> Any:
        """What a command answers that may block for ``timeout`` seconds; it takes no connection from the others."""
        pool = self._pool(self._slot(key, args))
        wire = pool.borrow()
        try:
            answer = wire.exchange([(name, *args)], timeout + self.target.timeout)[0]
        finally:
            pool.bring_back(wire)
        return self._raise(self._ours(answer, name))

    def subscribe(self, *channels: str) -> Subscription:
        """A listener to channels; connects when it is first listened to."""
        made = Subscription(channels, self._any_pool, self._ours, self._clock)
        self._subscriptions.add(made)
        return made

    def slot(self, tag: str) -> int:
        """The slot of a key or hash tag."""
        return slot_of(tag)

    def tags_by_node(self, tags: Iterable[str]) -> list[list[str]]:
        """Keys or hash tags grouped by the server that has them.  Raises ``Unreachable``."""
        groups: defaultdict[int, list[str]] = defaultdict(list)
        for tag in tags:
            groups[id(self._pool(slot_of(tag)))].append(tag)
        return list(groups.values())

    def disconnect(self) -> None:
        """Drop all connections now; the next call makes new ones."""
        for pool in self._route.known():
            pool.disconnect()

    def silence(self, reason: str) -> None:
        """Send nothing and make no connection, for this reason, which callers are told; "" ends it."""
        self._silenced = reason
        if reason:
            self.disconnect()

    def stats(self) -> PoolStats:
        """Connections, now and since the start."""
        return total(self._route.known())

    def server(self) -> ServerInfo:
        """What the first server says of itself.  Raises ``Unreachable``."""
        pools = self._pools()
        with pools[0].wire() as wire:
            return about(wire, len(pools), lambda answer, name: self._raise(self._ours(answer, name)))

    def run_once(self) -> float:
        """Look after the connections; returns the seconds until the next time."""
        if self._silenced:
            return TEND_EVERY
        try:
            self._route.tend()
            for pool in self._route.known():
                pool.tend()
            self._look()
        except Unreachable:
            # whoever calls is told; the keeper only comes again
            return TEND_EVERY
        return TEND_EVERY

    def _look(self) -> None:
        """Warn once of a server that throws jobs away when it is full."""
        if not self._looked and self.stats().connections:
            self._looked = True
            told = fields(self.command("INFO", "memory"))
            for text, mend in careless(told.get("maxmemory_policy", "")):
                log.warning("Redis at %s: %s; %s", self.address, text, mend)

    def _keep(self) -> None:
        delay = 0.0
        while not self._stop.wait(delay):
            delay = self.run_once()

    def _slot(self, key: str | None, args: tuple[Any, ...]) -> int:
        name = key if key is not None else args[0] if args and isinstance(args[0], str) else ""
        return slot_of(name)

    def _check(self) -> None:
        if self._stop.is_set():
            raise Unreachable(f"the connections to Redis at {self.address} were closed")
        if self._silenced:
            raise Unreachable(f"nothing is sent to Redis at {self.address}: {self._silenced}")

    def _pool(self, slot: int) -> Pool:
        self._check()
        return self._route.pool(slot)

    def _pools(self) -> Sequence[Pool]:
        self._check()
        return self._route.pools()

    def _any_pool(self) -> Pool:
        return self._pools()[0]

    def _by_place(self, tags: Sequence[str]) -> dict[int, list[int]]:
        """Indexes of calls that may travel together, under a slot of theirs; a slot alone where the map is not known."""
        places: dict[int, int] = {}
        groups: defaultdict[int, list[int]] = defaultdict(list)
        for index, tag in enumerate(tags):
            slot = slot_of(tag) if self.cluster else 0
            groups[places.setdefault(self._place(slot), slot)].append(index)
        return groups

    def _place(self, slot: int) -> int:
        try:
            return id(self._pool(slot))
        except Unreachable:
            return -1 - slot

    def _settle(self, slot: int, calls: list[ScriptCall], timeout: float | None) -> list[Any]:
        answers = self._send(slot, lambda wire: wire.calls(calls, timeout), len(calls))
        return [
            self._follow(answer, call.script.name, partial(_call, call, timeout)) if _refused(answer) else answer
            for call, answer in zip(calls, answers, strict=True)
        ]

    def _commands(self, slot: int, commands: list[Command], timeout: float | None) -> list[Any]:
        answers = self._send(slot, lambda wire: wire.exchange(commands, timeout), len(commands))
        return [
            self._follow(answer, str(command[0]), partial(_command, command, timeout)) if _refused(answer) else answer
            for command, answer in zip(commands, answers, strict=True)
        ]

    def _send(self, slot: int, sending: Sending, count: int) -> list[Any]:
        """Answers of the server of a slot; what keeps it from being reached stands for each of them."""
        try:
            with self._pool(slot).wire() as wire:
                answers = sending(wire)
                if wire.broken:
                    self._route.doubt()
                return answers
        except HoldfastError as error:
            self._route.doubt()
            return [error] * count

    def _follow(self, answer: Any, name: str, sending: Sending) -> Any:
        """The answer of the server that a refused call was sent on to, else the error of ours."""
        for _ in range(HOPS):
            found = redirection(answer)
            if found is None:
                break
            answer = self._redirected(found, asks(answer), sending)
        return self._ours(answer, name)

    def _redirected(self, found: tuple[int, str, int], once: bool, sending: Sending) -> Any:
        slot, host, port = found
        try:
            with self._route.redirected(slot, Host(host or self.target.hosts[0].name, port), not once).wire() as wire:
                wire.asking = once
                try:
                    return sending(wire)[0]
                finally:
                    wire.asking = False
        except HoldfastError as error:
            return error

    def _ours(self, answer: Any, name: str) -> Any:
        return translated(answer, self.address, name) if isinstance(answer, BaseException) else answer

    def _raise(self, answer: Any) -> Any:
        if isinstance(answer, BaseException):
            raise answer
        return answer


def _refused(answer: Any) -> bool:
    return isinstance(answer, BaseException)


def _call(call: ScriptCall, timeout: float | None, wire: Wire) -> list[Any]:
    return wire.calls([call], timeout)


def _command(command: Command, timeout: float | None, wire: Wire) -> list[Any]:
    return wire.exchange([command], timeout)
