"""Looks into the keys of a Redis at rest: whether its lists, sets and counts say the same as the records of its jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

#: state -> the sorted set that has exactly the jobs of that state
SETS = {b"S": "s", b"Y": "y", b"D": "d"}

Ask = Callable[..., Any]


def disorder(ask: Ask, fleet: str = "main") -> list[str]:
    """What does not fit, in words, over all queues; at rest nothing is owned, leased, or waits."""
    queues = sorted(name.decode() for name in ask("SMEMBERS", f"{{hf:{fleet}}}:queues"))
    return [f"{queue}: {what}" for queue in queues for what in _of_queue(ask, f"{{hf:{fleet}:{queue}}}:")]


def _of_queue(ask: Ask, tag: str) -> list[str]:
    states = {id_: record[:1] for id_, record in ask("HGETALL", f"{tag}m").items()}
    counts = ask("HGETALL", f"{tag}c")
    real = Counter(states.values())
    found = [
        f"{state.decode()}: counted {int(counts.get(state, 0))}, there are {real[state]}"
        for state in (b"A", b"S", b"Y", b"R", b"O", b"D")
        if int(counts.get(state, 0)) != real[state]
    ]
    found += [
        f"{real[state]} jobs are left as {state.decode()}" for state in (b"A", b"S", b"Y", b"R", b"O") if real[state]
    ]
    for state, key in SETS.items():
        there, wanted = set(ask("ZRANGE", f"{tag}{key}", 0, -1)), {id_ for id_, of in states.items() if of == state}
        if there != wanted:
            found.append(f"set {key} has {len(there)} jobs, and {len(wanted)} are in that state")
    if set(ask("HKEYS", f"{tag}j")) != set(states):
        found.append("not every live job has its payload, or some payload has no job")
    found += [
        f"{key} is not empty: {ask(whole, tag + key, *more)}"
        for key, (size, whole, *more) in _EMPTY.items()
        if ask(size, tag + key)
    ]
    return found + _lanes(ask, tag)


#: keys that have nothing in them when no job is owned or leased, and the commands that tell how much and what
_EMPTY = {"x": ("ZCARD", "ZRANGE", 0, -1)} | dict.fromkeys(("xl", "xn", "cx", "o", "od"), ("HLEN", "HGETALL"))


def _lanes(ask: Ask, tag: str) -> list[str]:
    """Lanes of the order stand in their band exactly as long as their list is not empty."""
    lists = {key.decode().removeprefix(f"{tag}q:") for key in ask("KEYS", f"{tag}q:*")}
    bands = [band.decode() for band in ask("ZRANGE", f"{tag}b", 0, -1)]
    lanes = {f"{band}:{lane.decode()}" for band in bands for lane in ask("ZRANGE", f"{tag}l:{band}", 0, -1)}
    return [] if lists == lanes else [f"lanes {sorted(lanes)} and lists {sorted(lists)}"]
