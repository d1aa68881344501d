"""The doctor's look at Redis: whether it can be reached, and whether it is set up to keep what it is given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from console.cli.findings import Finding, error, ok, warning
from engine.kernel.clock import Clock, SystemClock
from engine.kernel.errors import Unreachable
from engine.kernel.settings import Settings
from engine.storage.redis.about import ServerInfo, advice
from engine.storage.redis.client import Client, Script
from engine.storage.redis.connect import target_from

#: what every node must be allowed to do: run a script that writes under our keys
TRIAL = Script.of("trial", "redis.call('SET', KEYS[1], ARGV[1], 'PX', 1000) return redis.call('GET', KEYS[1])")
#: seconds between the clocks above which times of jobs look wrong
CLOCK_APART = 1.0


def redis(settings: Settings, clock: Clock | None = None) -> Iterator[Finding]:
    """Version, rights, what it does when it is full, how it keeps data, its clock.  Raises ``SettingsError``."""
    if not settings.redis:
        yield ok("redis", "none; this node works alone")
        return
    if "@" in settings.redis and ":" in settings.redis.partition("//")[2].rpartition("@")[0]:
        yield warning("redis", "its password stands in the URL", "set HOLDFAST_REDIS_PASSWORD instead")
    with client_of(settings) as client:
        try:
            told = client.server()
            client.call(TRIAL, f"{{hf:{settings.fleet}:doctor}}:trial", "1")
        except Unreachable as gone:
            yield error("redis", str(gone), "start it, or mend the settings redis…; until then this node works alone")
            return
        yield from findings(client.address, told, (clock or SystemClock()).now())


@contextmanager
def client_of(settings: Settings) -> Iterator[Client]:
    """A client that is closed at the end."""
    client = Client(target_from(settings))
    try:
        yield client
    finally:
        client.close()


def findings(address: str, told: ServerInfo, now: float) -> Iterator[Finding]:
    """What is good, and what should be mended."""
    version = ".".join(map(str, told.version))
    nodes = f", {told.nodes} nodes" if told.nodes > 1 else ""
    kept = f", keeps data by {told.persistence}" if told.persistence else ""
    yield ok("redis", f"{address}, version {version}{nodes}{kept}")
    for text, mend in advice(told):
        yield warning("redis", text, mend)
    if abs(told.time - now) > CLOCK_APART:
        yield warning("redis", f"its clock is {told.time - now:+.1f} s from this machine's", "set both by NTP")
