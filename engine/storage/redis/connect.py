"""Where a Redis is and how it is reached: from the settings' URL to one open connection.

Forms: ``redis://host:port/db``, ``rediss://`` with TLS, ``redis+sentinel://h1:p,h2:p/name/db``, ``redis+cluster://h1:p,h2:p``;
the last two also with ``rediss+``.  User and password may stand in the URL or in settings of their own, which win.
A ``Target`` never shows the password, not even in its ``repr``; ``address`` is what messages use.
"""

from __future__ import annotations

import inspect
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec
import redis
import redis.connection
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, RedisError
from redis.retry import Retry

from engine.kernel.errors import HoldfastError, SettingsError, Unreachable
from engine.kernel.settings import REDIS_SCHEMES, Settings
from engine.kernel.values import Secret
from engine.storage.redis.errors import OLDEST, STATES, reason, translated

SINGLE, SENTINEL, CLUSTER = "single", "sentinel", "cluster"
PORTS = {SINGLE: 6379, SENTINEL: 26_379, CLUSTER: 6379}
#: seconds after which a silent peer is asked whether it lives, between questions, and how many
KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}

#: the driver does not introduce itself: two round trips for each connection, and rights that are needed for nothing else
_SILENT: dict[str, Any] = (
    {"driver_info": None}
    if "driver_info" in inspect.signature(redis.connection.AbstractConnection.__init__).parameters
    else {"lib_name": None, "lib_version": None}
)

_URL = re.compile(r"(?P<scheme>[a-z+]+)://(?:(?P<user>[^@/]*)@)?(?P<hosts>[^/?#]*)(?P<path>/[^?#]*)?(?P<rest>.*)\Z")
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._\-]+))(?::(?P<port>\d{1,5}))?\Z")
_SERVICE = re.compile(r"[A-Za-z0-9._\-]+\Z")


class Host(NamedTuple):
    """One server."""

    name: str
    port: int

    def __str__(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


class Tls(msgspec.Struct, frozen=True):
    """What is used of TLS; paths of PEM files, empty for the system's."""

    ca: str = ""
    cert: str = ""
    key: str = ""


class Target(msgspec.Struct, frozen=True):
    """A Redis, and how to speak to it."""

    #: ``single``, ``sentinel`` or ``cluster``
    kind: str
    hosts: tuple[Host, ...]
    #: name of the primary that Sentinels watch
    service: str = ""
    db: int = 0
    tls: Tls | None = None
    username: str = ""
    password: Secret | None = None
    pool_min: int = 1
    pool_max: int = 32
    #: seconds that an answer may take
    timeout: float = 2.0

    @property
    def address(self) -> str:
        """The URL without user and password."""
        secure = "rediss" if self.tls else "redis"
        scheme = secure if self.kind == SINGLE else f"{secure}+{self.kind}"
        path = {SINGLE: f"/{self.db}", SENTINEL: f"/{self.service}/{self.db}", CLUSTER: ""}[self.kind]
        return f"{scheme}://{','.join(map(str, self.hosts))}{path}"

    def masked(self, text: str) -> str:
        """A text in which the password, if it stands there, does not stand any more."""
        return text.replace(self.password.reveal(), "…") if self.password else text

    def __repr__(self) -> str:
        return f"Target({self.address})"


def target_from(settings: Settings) -> Target:
    """The Redis that the settings name.  Raises ``SettingsError``, one line with the mend."""
    return target_of(
        settings.redis,
        username=settings.redis_username,
        password=settings.redis_password,
        ca=settings.redis_ca,
        cert=settings.redis_cert,
        key=settings.redis_key,
        pool_min=settings.redis_pool_min,
        pool_max=settings.redis_pool_max,
        timeout=settings.redis_timeout,
    )


def target_of(
    url: str,
    *,
    username: str = "",
    password: Secret | None = None,
    ca: Path | None = None,
    cert: Path | None = None,
    key: Path | None = None,
    **sizes: Any,
) -> Target:
    """A Redis from its URL and what stands beside it.  Raises ``SettingsError`` that does not repeat the URL."""
    found = _URL.match(url.strip())
    if not found or found["scheme"] not in REDIS_SCHEMES:
        raise _wrong(f"expected a URL that begins with {' or '.join(f'{name}://' for name in REDIS_SCHEMES)}")
    if found["rest"]:
        raise _wrong("nothing may follow the database in the URL; what was there has a setting of its own")
    kind = found["scheme"].partition("+")[2] or SINGLE
    service, db = _path(kind, found["path"] or "")
    user, _, word = (found["user"] or "").partition(":")
    return Target(
        kind,
        tuple(_hosts(kind, found["hosts"])),
        service,
        db,
        _tls(found["scheme"].startswith("rediss"), ca, cert, key),
        username or unquote(user),
        password or (Secret(unquote(word)) if word else None),
        **sizes,
    )


def _wrong(text: str) -> SettingsError:
    return SettingsError(f"redis: {text}; try redis://localhost:6379/0")


def _hosts(kind: str, text: str) -> Iterator[Host]:
    names = text.split(",")
    if kind == SINGLE and len(names) > 1:
        raise _wrong("redis:// names one host; several are for redis+sentinel:// and redis+cluster://")
    for name in names:
        found = _HOST.match(name)
        if not found or not 0 < int(found["port"] or PORTS[kind]) < 65_536:
            raise _wrong("expected host or host:port, with commas between several")
        yield Host(found["v6"] or found["name"], int(found["port"] or PORTS[kind]))


def _path(kind: str, path: str) -> tuple[str, int]:
    """Service and database of the URL's path."""
    parts = path.strip("/").split("/") if path.strip("/") else []
    service = parts.pop(0) if kind == SENTINEL and parts else ""
    if kind == SENTINEL and not _SERVICE.match(service):
        raise _wrong("redis+sentinel:// needs the name of the primary, as in redis+sentinel://h1:26379,h2:26379/main/0")
    if kind == CLUSTER and parts not in ([], ["0"]):
        raise _wrong("a Cluster has one database only; take the path away")
    if len(parts) > 1 or not (parts or ["0"])[0].isdecimal():
        raise _wrong("expected the number of a database after the host")
    return service, int((parts or ["0"])[0])


def _tls(secure: bool, ca: Path | None, cert: Path | None, key: Path | None) -> Tls | None:
    if not secure:
        if ca or cert or key:
            raise _wrong("certificates are set and the URL is not for TLS; begin it with rediss")
        return None
    for name, path in (("redis_ca", ca), ("redis_cert", cert), ("redis_key", key)):
        if path is not None and not path.is_file():
            raise SettingsError(f"{name}: there is no file {path}; name the PEM file")
    return Tls(*("" if path is None else str(path) for path in (ca, cert, key)))


def dial(target: Target, host: Host, *, watcher: bool = False, begun: Callable[[Any], None] | None = None) -> Any:
    """An open connection to one server, signed in.  Raises ``Unreachable``.

    ``watcher`` says that it is a Sentinel: those have no database, and often no users.  ``begun`` is told the connection
    before it stands, for whoever may want to cut it.
    """
    connection = _connection(target, host, watcher)
    if begun is not None:
        begun(connection)
    try:
        connection.connect()
        if not watcher:
            _greet(connection, host)
    except (RedisError, OSError, HoldfastError, AttributeError) as error:
        # an AttributeError is how the driver meets a cut in the middle
        connection.disconnect()
        raise _refused(target, host, error) from None
    return connection


def _connection(target: Target, host: Host, watcher: bool) -> Any:
    options: dict[str, Any] = {
        "host": host.name,
        "port": host.port,
        "socket_timeout": target.timeout,
        "socket_connect_timeout": min(target.timeout, 2.0),
        "socket_keepalive": True,
        "socket_keepalive_options": _keepalive(),
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        **_SILENT,
    }
    if not watcher:
        password = None if target.password is None else target.password.reveal()
        options |= {"db": target.db, "username": target.username or None, "password": password}
    kind: Any = redis.Connection if target.tls is None else redis.SSLConnection
    if target.tls is not None:
        named = {"ssl_ca_certs": target.tls.ca, "ssl_certfile": target.tls.cert, "ssl_keyfile": target.tls.key}
        options |= {name: path or None for name, path in named.items()}
    return kind(**options)


def _keepalive() -> dict[int, int]:
    return {getattr(socket, name): value for name, value in KEEPALIVE.items() if hasattr(socket, name)}


def _greet(connection: Any, host: Host) -> None:
    """Refuse a server that is too old or a replica.  HELLO is allowed to more users than INFO."""
    try:
        connection.send_command("HELLO")
        told = connection.read_response()
    except NoPermissionError:
        return
    except RedisError as error:
        if "unknown command" in str(error).lower() or "wrong number" in str(error).lower():
            raise too_old(host, "older than 6.2") from None
        raise
    about = dict(zip(told[::2], told[1::2], strict=False))
    version = about[b"version"].decode("ascii", "replace")
    if version_of(version) < OLDEST:
        raise too_old(host, version)
    if about.get(b"role") in {b"replica", b"slave"}:
        raise Unreachable(f"Redis at {host} {STATES['READONLY']}")


def too_old(host: Host, version: str) -> Unreachable:
    """A server that cannot run the scripts."""
    return Unreachable(f"Redis at {host} is {version}; Holdfast needs {OLDEST[0]}.{OLDEST[1]} or newer, update it")


def version_of(text: str) -> tuple[int, ...]:
    """``7.0.15`` as numbers."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _refused(target: Target, host: Host, error: Exception) -> HoldfastError:
    """Why no connection came to be; whatever it is, the server cannot be used now."""
    told = translated(error, str(host), "connecting")
    text = str(told) if isinstance(told, Unreachable) else f"Redis at {host} refused the connection: {reason(error)}"
    return Unreachable(target.masked(text))
