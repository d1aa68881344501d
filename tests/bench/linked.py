"""Drain with a Redis: the same full queue as ``drain``, worked off through Redis by one process, as a node of a fleet does it.

Twice: trusting Redis (``durability = "redis"``), beside peers that do, and with the journal in front, which gives back what
a Redis loses (``power``).  The server stands on loopback and writes nothing to disk, for us as for the peers.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from tests.bench import rounds
from tests.bench.figures import Figure, Measure, Options, figures
from tests.bench.peers import redis
from tests.bench.peers.beside import Beside
from tests.bench.served import served

JOBS = 100_000
#: how many times a peer's drain ours must be
TIMES = {"huey": 8.0, "bullmq": 2.0}

TRUSTING = (
    Measure("rate", "drain of {jobs:,} no-op jobs on Redis, durability redis", "jobs/s", "more", 25_000),
    Measure("cpu", "processor time of the engine's process per job", "µs", "less"),
    Measure("behind", "history knows all after the drain", "s", "less"),
    Measure("lag", "event-loop lag during the drain, p99", "ms", "less"),
)
POWER = (
    Measure("power_rate", "drain of {jobs:,} no-op jobs on Redis and in the journal", "jobs/s", "more", 12_000),
    Measure("power_cpu", "processor time of the engine's process per job", "µs", "less"),
    Measure("power_behind", "history knows all after the drain", "s", "less"),
)


def linked(options: Options) -> list[Figure]:
    """Both drains, and peers on the same work, in turns."""
    jobs = options.of(JOBS)
    peers = Beside(msgspec.structs.replace(options, peers=tuple(dict.fromkeys((*options.peers, "bullmq")))))
    trusting, power = [], []
    for number in range(1, options.rounds + 1):
        trusting.append(rounds.once(options, f"{__name__}:linked_round", number, jobs=jobs, durability="redis"))
        power.append(rounds.once(options, f"{__name__}:linked_round", number, jobs=jobs, durability="power"))
        peers.round(number)
    ours = figures("redis", TRUSTING, trusting, jobs=jobs)
    kept = [{f"power_{name}": value for name, value in answer.items()} for answer in power]
    return [*ours, *figures("redis", POWER, kept, jobs=jobs), *peers.figures(ours[0], TIMES)]


def linked_round(folder: Path, jobs: int, durability: str) -> dict[str, float]:
    """One drain in a fresh console on an empty Redis."""
    with redis.server() as port, served(folder / "home", redis=address(port), durability=durability) as console:
        console.ask("fill", jobs=jobs)
        return console.ask("drain")


def address(port: int) -> str:
    """URL of a server on loopback."""
    return f"redis://127.0.0.1:{port}/0"
