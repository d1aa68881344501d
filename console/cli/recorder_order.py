"""What the recorder's process is told over its pipe, what it tells, and the streams that it is told of."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import msgspec

from data.streamed import StreamFollower
from engine.kernel.clock import Clock
from engine.kernel.settings import Settings
from engine.kernel.values import Secret

#: bytes on the pipe after the order: send nothing to Redis from now on, and go on
HUSH, SPEAK = b"h", b"s"


class RedisOrder(msgspec.Struct, frozen=True):
    """The Redis whose streams are followed; what it holds is secret."""

    url: str
    username: str = ""
    password: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""
    timeout: float = 2.0
    fleet: str = "main"
    #: nothing may be sent before the parent says so
    silent: bool = False

    def __repr__(self) -> str:
        return f"RedisOrder(fleet={self.fleet!r})"


class Order(msgspec.Struct, frozen=True):
    """What the recorder is told at its start."""

    home: str
    database: str
    log_level: str
    #: the opened key ring, base64
    keys: str
    fault: str = ""
    redis: RedisOrder | None = None


class Progress(msgspec.Struct, frozen=True):
    """What the recorder tells: the last segment in history, and how many seconds history is behind."""

    mark: int
    lag: float
    #: entries of the streams that are not in history yet
    pending: int = 0
    #: Redis does not answer, so that history goes on with the journal alone
    away: bool = False
    #: entries that were trimmed before they could be recorded
    lost: int = 0


class Silenced(Protocol):
    """A client that can be told to send nothing."""

    def silence(self, reason: str) -> None:
        """Send nothing, for this reason; "" ends it."""


class Silence:
    """Whether the recorder may send anything to Redis, as the link of its parent stands."""

    def __init__(self, silent: bool = False) -> None:
        self._silent = silent
        self._client: Silenced | None = None
        self._lock = threading.Lock()

    def bind(self, client: Silenced) -> None:
        """From now on the client keeps to it."""
        with self._lock:
            self._client = client
            self._pass_on()

    def hear(self, told: bytes) -> None:
        """What the parent said, the last counts."""
        with self._lock:
            self._silent = told[-1:] == HUSH
            self._pass_on()

    def _pass_on(self) -> None:
        if self._client is not None:
            self._client.silence("the link is kept airgapped" if self._silent else "")


def redis_order(settings: Settings, silent: bool = False) -> RedisOrder | None:
    """What the recorder must know to follow the streams; ``None`` without a Redis."""
    if not settings.redis:
        return None
    password = settings.redis_password
    return RedisOrder(
        settings.redis,
        settings.redis_username,
        password.reveal() if password else "",
        str(settings.redis_ca or ""),
        str(settings.redis_cert or ""),
        str(settings.redis_key or ""),
        settings.redis_timeout,
        settings.fleet,
        silent,
    )


def streams_of(redis: RedisOrder, node: str, clock: Clock, parts: ExitStack, silence: Silence) -> StreamFollower:
    """The streams of a fleet, read from now on; ``parts`` ends that."""
    # a recorder without Redis is smaller if it never loads what talks to one
    from engine.storage.redis.client import Client
    from engine.storage.redis.connect import target_of
    from engine.storage.redis.streams import StreamLog

    ca, cert, key = (Path(file) if file else None for file in (redis.ca, redis.cert, redis.key))
    password = Secret(redis.password) if redis.password else None
    target = target_of(
        redis.url, username=redis.username, password=password, ca=ca, cert=cert, key=key, pool_min=0, pool_max=4,
        timeout=redis.timeout,
    )  # fmt: skip
    client = Client(target, clock)
    silence.bind(client)
    parts.callback(client.close)
    follower = StreamFollower(StreamLog(client, redis.fleet, f"recorder-{node}", clock), clock)
    follower.start()
    parts.callback(follower.stop)
    return follower
