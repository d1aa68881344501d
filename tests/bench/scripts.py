"""What Redis itself spends: processor time of the server per job, and how long it is held by one script.

The store is called without an engine, 200 jobs a call, so that only the scripts are measured.  The server's own log of
slow calls, with a threshold of nothing, tells how long each took.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from engine.kernel import events as ev
from engine.kernel.clock import SystemClock
from engine.kernel.job import new_id
from engine.storage.base import Want
from engine.storage.redis.client import Client
from engine.storage.redis.connect import target_of
from engine.storage.redis.store import RedisStore
from tests.bench import rounds, work
from tests.bench.figures import Figure, Measure, Options, figures, percentile
from tests.bench.linked import address
from tests.bench.peers import redis

JOBS, CALL = 200_000, 200

SCRIPTS = (
    Measure("put", "processor time of Redis per job: put", "µs", "less"),
    Measure("cpu", "processor time of Redis per job: claim and finish", "µs", "less", 12.0),
    Measure("script", f"script calls at {CALL} jobs, p99.9", "ms", "less", 5.0),
    Measure("longest", "the longest of them", "ms", "less"),
    Measure("bytes", "memory of Redis per waiting job", "bytes", "less"),
)


def scripts(options: Options) -> list[Figure]:
    """Put, claim and finish."""
    return figures("scripts", SCRIPTS, rounds.run(options, f"{__name__}:scripts_round", jobs=options.of(JOBS)))


def scripts_round(folder: Path, jobs: int) -> dict[str, float]:
    """All jobs in, then all out."""
    with redis.server() as port, contextlib.closing(RedisStore(Client(target_of(address(port))))) as store:
        store.open()
        empty = memory(store)
        began = cpu(store)
        fill(store, jobs)
        filled = cpu(store)
        held = (memory(store) - empty) / jobs
        watch(store)
        before = cpu(store)
        drain(store, jobs)
        drained = cpu(store) - before
        seconds = durations(store)
    return {
        "put": (filled - began) / jobs * 1e6,
        "cpu": drained / jobs * 1e6,
        "script": percentile(seconds, 99.9) * 1000,
        "longest": max(seconds) * 1000,
        "bytes": held,
    }


def fill(store: RedisStore, jobs: int) -> None:
    """Put all, 500 a call."""
    at = SystemClock().now()
    payload = b'{"n": 0, "text": "%s"}' % work.TEXT.encode()
    for first in range(0, jobs, 500):
        count = min(500, jobs - first)
        store.put([ev.JobEnqueued(at, new_id(), work.QUEUE, "bench.noop", payload) for _ in range(count)])


def drain(store: RedisStore, jobs: int) -> None:
    """Claim and complete all, in one call each time."""
    clock = SystemClock()
    want = Want({work.QUEUE: CALL}, "bench", CALL)
    claim = store.claim(want)
    ended = 0
    while claim is not None and claim.jobs:
        at, token = clock.now(), claim.token
        ends = [ev.JobCompleted(at, job.id, token, job.attempt, "bench/1", at, 0.0) for job in claim.jobs]
        exchange = store.exchange(ends, (), want)
        assert not exchange.stale
        ended += len(ends)
        claim = exchange.claim
    assert ended == jobs, f"{ended} of {jobs} jobs came out"


def info(store: RedisStore, section: str) -> dict[str, str]:
    """Part of what the server tells of itself."""
    told = store.client.command("INFO", section).decode().splitlines()
    return dict(line.split(":", 1) for line in told if ":" in line)


def cpu(store: RedisStore) -> float:
    """Seconds of processor time that the server's main thread used."""
    told = info(store, "cpu")
    return float(told["used_cpu_user_main_thread"]) + float(told["used_cpu_sys_main_thread"])


def memory(store: RedisStore) -> int:
    """Bytes that the server holds."""
    return int(info(store, "memory")["used_memory"])


def watch(store: RedisStore) -> None:
    """Let the server note every call from now on."""
    for name, value in (("slowlog-max-len", 100_000), ("slowlog-log-slower-than", 0)):
        store.client.command("CONFIG", "SET", name, value)
    store.client.command("SLOWLOG", "RESET")


def durations(store: RedisStore) -> list[float]:
    """Seconds of each script call that was noted."""
    entries = store.client.command("SLOWLOG", "GET", -1)
    return [entry[2] / 1e6 for entry in entries if entry[3][0].upper() == b"EVALSHA"]
