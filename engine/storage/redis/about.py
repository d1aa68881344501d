"""What a Redis says of itself: version, role, what it does when it is full, how it keeps its data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from redis.exceptions import ResponseError

from engine.storage.redis.connect import version_of
from engine.storage.redis.wire import Wire


class ServerInfo(msgspec.Struct, frozen=True):
    """One server; texts are empty where its user may not be told."""

    version: tuple[int, ...]
    run_id: str
    #: ``master`` or ``slave``, in Redis' words
    role: str
    #: bytes that it may use, 0 for no limit, and what it does then
    maxmemory: int
    maxmemory_policy: str
    #: ``aof`` with its fsync policy in brackets, ``snapshots``, ``none``, or empty
    persistence: str
    #: replicas that must follow it before it takes a write, -1 if we may not be told
    min_replicas: int
    replicas: int
    #: its wall time
    time: float
    #: primaries of the Cluster, 1 without one
    nodes: int


def about(wire: Wire, nodes: int, check: Callable[[Any, str], Any]) -> ServerInfo:
    """Ask over a wire; ``check`` raises what an answer holds instead of one.  Configuration may be forbidden to us."""
    told, now, *configured = wire.exchange(
        [("INFO",), ("TIME",), *(("CONFIG", "GET", name) for name in ("save", "min-replicas-to-write", "appendfsync"))]
    )
    info = fields(check(told, "INFO"))
    seconds, micros = check(now, "TIME")
    save, least, fsync = (_configured(answer) for answer in configured)
    return ServerInfo(
        version=version_of(info.get("redis_version", "")),
        run_id=info.get("run_id", ""),
        role=info.get("role", ""),
        maxmemory=int(info.get("maxmemory", 0)),
        maxmemory_policy=info.get("maxmemory_policy", ""),
        persistence=_persistence(info, save, fsync),
        min_replicas=-1 if least is None else int(least),
        replicas=int(info.get("connected_slaves", 0)),
        time=int(seconds) + int(micros) / 1e6,
        nodes=nodes,
    )


def fields(told: bytes) -> dict[str, str]:
    """The names and values of INFO."""
    lines = told.decode("utf-8", "replace").splitlines()
    return {name: value for name, mark, value in (line.partition(":") for line in lines) if mark}


def _configured(answer: Any) -> str | None:
    """The value that CONFIG GET told; ``None`` where it may not be asked."""
    if isinstance(answer, ResponseError) or not isinstance(answer, list) or len(answer) < 2:
        return None
    return bytes(answer[1]).decode("utf-8", "replace")


def _persistence(info: dict[str, str], save: str | None, fsync: str | None) -> str:
    if info.get("aof_enabled") == "1":
        return f"aof ({fsync})" if fsync else "aof"
    return "" if save is None else "snapshots" if save else "none"


def careless(policy: str) -> list[tuple[str, str]]:
    """What loses jobs without anybody's fault, with its mend: throwing away what is oldest, or anything, when it is full."""
    if policy in {"", "noeviction"}:
        return []
    text = f"maxmemory-policy is {policy}: when it is full it throws jobs away"
    return [(text, "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf")]


def advice(told: ServerInfo) -> list[tuple[str, str]]:
    """What is unwise about a server, each with its mend; nothing where we may not be told."""
    found = careless(told.maxmemory_policy)
    if told.persistence in {"none", "snapshots"}:
        text = "it writes no append-only file: a restart loses what only Redis has (queues of durability redis)"
        found.append((text, "CONFIG SET appendonly yes, and the same in redis.conf"))
    if told.replicas and told.min_replicas == 0:
        text = "it takes writes that no replica has yet: a fail-over may lose them, and a node has to send them again"
        found.append((text, "CONFIG SET min-replicas-to-write 1, and the same in redis.conf"))
    return found
