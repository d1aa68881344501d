"""What the link costs: giving a hundred thousand events back to Redis, and being told of a hundred agents."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tests.bench import rounds
from tests.bench.figures import Figure, Measure, Options, figures
from tests.bench.linked import address
from tests.bench.peers import redis
from tests.bench.served import ordered, served

EVENTS = 100_000
AGENTS, SECONDS = 100, 8.0

RESYNC = (
    Measure("rate", "resync of {jobs:,} events", "events/s", "more", 40_000),
    Measure("memory", "memory that it takes meanwhile", "MiB", "less"),
    Measure("lag", "event-loop lag meanwhile, p99", "ms", "less"),
)
HEARTBEATS = (
    Measure("alone", "console at rest, one agent: share of a core", "%", "less"),
    Measure("many", f"console at rest, {AGENTS} agents beside it: share of a core", "%", "less"),
    Measure("more", f"of it for {AGENTS} agents", "%", "less", 5.0),
)


def resync(options: Options) -> list[Figure]:
    """Jobs that were accepted while cut off."""
    jobs = options.of(EVENTS)
    return figures("resync", RESYNC, rounds.run(options, f"{__name__}:resync_round", jobs=jobs), jobs=jobs)


def heartbeats(options: Options) -> list[Figure]:
    """A console that nobody looks at."""
    seconds = SECONDS / 4 if options.quick else SECONDS
    return figures("heartbeats", HEARTBEATS, rounds.run(options, f"{__name__}:heartbeats_round", seconds=seconds))


def resync_round(folder: Path, jobs: int) -> dict[str, float]:
    """Cut, accept, mend."""
    with redis.server() as port, served(folder / "home", redis=address(port)) as console:
        console.ask("cut", jobs=jobs)
        return console.ask("mend")


def heartbeats_round(folder: Path, seconds: float) -> dict[str, float]:
    """The console's share of a core, before and with the agents."""
    with contextlib.ExitStack() as stack:
        url = address(stack.enter_context(redis.server()))
        console = stack.enter_context(served(folder / "home", redis=url))
        alone = console.ask("rest", seconds=seconds)
        stack.enter_context(ordered("tests.bench.crowd", url, str(AGENTS)))
        console.ask("rest", seconds=2.0)
        many = console.ask("rest", seconds=seconds)
    assert many["agents"] >= AGENTS, f"the console sees {many['agents']} agents online"
    return {"alone": alone["cpu"], "many": many["cpu"], "more": many["cpu"] - alone["cpu"]}
