"""The key-value half of the Redis store: locks, counters, small caches of the whole fleet, under the fleet's tag."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from engine.storage.redis.calls import Calls
from engine.storage.redis.scripts import script

#: entries that one step over all values looks at
STEP = 1_000


class Values(Calls):
    """Implements ``engine.storage.base.KeyValue``; mixed into ``RedisStore``."""

    def value(self, key: str) -> bytes | None:
        """See ``KeyValue.value``."""
        found: bytes | None = self._value("get", key)
        return found

    def values(self, prefix: str = "") -> dict[str, bytes]:
        """See ``KeyValue.values``."""
        now = float(self.time() or 0) / 1e6 or self._redis_now()
        return {key: kept[17:] for key, kept in self._entries(prefix) if not 0 < float(kept[:17]) <= now}

    def set_value(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """See ``KeyValue.set_value``."""
        self._value("set", key, value, _ttl(ttl))

    def swap(self, key: str, expected: bytes | None, value: bytes | None, ttl: float | None = None) -> bool:
        """See ``KeyValue.swap``."""
        return bool(self._value("swap", key, _maybe(expected), _maybe(value), _ttl(ttl)))

    def increment(self, key: str, amount: int = 1) -> int:
        """See ``KeyValue.increment``."""
        return int(self._value("increment", key, amount))

    def drop(self, prefix: str) -> int:
        """See ``KeyValue.drop``."""
        keys, dropped = [key for key, _ in self._entries(prefix)], 0
        for start in range(0, len(keys), STEP):
            calls = [
                (script("value"), self.fleet_tag, (self.time(), "drop", key)) for key in keys[start : start + STEP]
            ]
            for answer in self.client.pipeline(calls):
                if isinstance(answer, Exception):
                    raise answer
                dropped += answer
        return dropped

    def sweep(self) -> None:
        """Forget what expired."""
        self._value("sweep", "")

    def _value(self, *args: Any) -> Any:
        return self.client.call(script("value"), self.fleet_tag, self.time(), *args)

    def _entries(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Keys that begin so, each once, with what is kept for them."""
        key, cursor, seen = f"{self.fleet_tag}kv", b"0", set()
        pattern = re.sub(r"([\\*?\[\]])", r"\\\1", prefix) + "*"
        while True:
            cursor, found = self.client.command("HSCAN", key, cursor, "MATCH", pattern, "COUNT", STEP)
            for name, kept in zip(found[::2], found[1::2], strict=True):
                if name not in seen:
                    seen.add(name)
                    yield name.decode(), kept
            if cursor == b"0":
                return

    def _redis_now(self) -> float:
        seconds, micros = self.client.command("TIME", key=self.fleet_tag)
        return int(seconds) + int(micros) / 1e6


def _maybe(value: bytes | None) -> bytes:
    return b"" if value is None else b"=" + value


def _ttl(ttl: float | None) -> object:
    return "" if ttl is None else ttl
