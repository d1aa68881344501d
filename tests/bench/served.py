"""A console process that measures itself from inside: the house of ``run.py``, served, with a probe on its event loop.

It takes orders, one JSON line each, and answers each with one: ``fill`` enqueues jobs into the paused queue and waits until
history knows them; ``drain`` lets them run and tells how long it took until the last outcome was durable, how long
history took to follow, and how far the event loop was behind meanwhile; ``cut`` and ``mend`` take the link to Redis away
and give it back; ``rest`` does nothing; ``stop`` ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from airgap.view import AIRGAPPED, CONNECTED, RECOVERING, link_of
from console.app import create_app
from console.context import Console
from console.server import Server, listen, server
from tests.bench import house, work
from tests.bench.figures import percentile
from tests.bench.rounds import ROOT

#: seconds between two looks at the event loop
TICK = 0.005
PATIENCE = 300.0
_pause = threading.Event()


class Probe:
    """How late the event loop is."""

    def __init__(self) -> None:
        self._lags: list[float] = []
        self._task: asyncio.Task[None] | None = None

    def begin(self, _port: int = 0) -> None:
        """Start probing the loop that runs now."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            due = time.perf_counter() + TICK
            await asyncio.sleep(TICK)
            self._lags.append(time.perf_counter() - due)

    def clear(self) -> None:
        self._lags = []

    def p99(self) -> float:
        """Milliseconds that 99 % of looks since ``clear`` stayed below."""
        return percentile(self._lags, 99) * 1000


def fill(console: Console, jobs: int) -> dict[str, float]:
    """Enqueue jobs that wait for ``drain``."""
    house.linked(console)
    console.engine.pause(work.QUEUE)
    house.fill(console.engine, jobs)
    house.history_has(console, jobs, "available")
    return {"waiting": console.engine.counts()[work.QUEUE]["available"]}


def drain(console: Console, probe: Probe) -> dict[str, float]:
    """Run what waits; every job must have run exactly once and be in history."""
    jobs = console.engine.counts()[work.QUEUE]["available"]
    work.RAN.expect(jobs)
    finished = house.Finished(console.engine, jobs)
    probe.clear()
    cpu, began = time.process_time(), time.perf_counter()
    console.engine.resume(work.QUEUE)
    ended = finished.wait(PATIENCE)
    cpu = time.process_time() - cpu
    lag = probe.p99()
    level = house.history_has(console, jobs, "completed")
    assert sorted(work.RAN.numbers) == list(range(jobs)), "each job runs once"
    return {
        "rate": jobs / (ended - began),
        "seconds": ended - began,
        "cpu": cpu / jobs * 1e6,
        "behind": level - ended,
        "lag": lag,
    }


def cut(console: Console, jobs: int) -> dict[str, float]:
    """Cut the link by hand and accept jobs that nobody runs meanwhile."""
    house.linked(console)
    console.engine.pause(work.QUEUE)
    air = link_of(console.engine.store)
    assert air is not None
    air.force("bench", "to be measured")
    house.until(lambda: air.air().state == AIRGAPPED, 10, "the link is cut")
    house.fill(console.engine, jobs)
    return {"unsynced": air.air().unsynced_events}


def mend(console: Console, probe: Probe) -> dict[str, float]:
    """Let the link back; how fast Redis is given everything, and what that costs."""
    air = link_of(console.engine.store)
    assert air is not None
    events, own = air.air().unsynced_events, psutil.Process()
    memory = most = own.memory_info().rss
    probe.clear()
    air.release("bench")
    house.until(lambda: air.air().state in {RECOVERING, CONNECTED}, 30, "Redis is back")
    began = time.perf_counter()
    while air.air().state != CONNECTED:
        most = max(most, own.memory_info().rss)
        _pause.wait(0.01)
    took = time.perf_counter() - began
    proof = air.air().last_proof
    assert proof is not None
    assert proof.equal, "both sides agree"
    return {
        "rate": events / took,
        "events": events,
        "memory": (most - memory) / 2**20,
        "lag": probe.p99(),
    }


def rest(console: Console, seconds: float) -> dict[str, float]:
    """Do what a console does when nobody looks; the share of a core that it takes."""
    house.linked(console)
    cpu, began = time.process_time(), time.perf_counter()
    _pause.wait(seconds)
    return {
        "cpu": 100 * (time.process_time() - cpu) / (time.perf_counter() - began),
        "agents": sum(agent.presence == "online" for agent in console.engine.fleet.agents()),
    }


def obey(console: Console, probe: Probe, serving: Server, port: int) -> None:
    """Take orders until told to stop, or until nobody gives any."""
    known: dict[str, Callable[..., dict[str, float]]] = {
        "fill": partial(fill, console), "drain": partial(drain, console, probe), "cut": partial(cut, console),
        "mend": partial(mend, console, probe), "rest": partial(rest, console),
    }  # fmt: skip
    try:
        tell({"port": port})
        for line in sys.stdin:
            order = json.loads(line)
            name = order.pop("do")
            if name == "stop":
                return
            tell(known[name](**order))
    finally:
        serving.stop()


def tell(answer: dict[str, float]) -> None:
    """One line to whoever gave the order."""
    print(json.dumps(answer), flush=True)


def main(home: str, options: str) -> int:
    """Serve until told to stop."""
    with (
        house.house(Path(home), **json.loads(options)) as console,
        contextlib.closing(listen(console.settings)) as listener,
    ):
        app = create_app(console)
        console.engine.start()
        probe = Probe()

        def ready(port: int) -> None:
            probe.begin()
            orders = threading.Thread(target=obey, args=(console, probe, serving, port), name="orders", daemon=True)
            orders.start()

        serving = server(app, ready)
        serving.run(sockets=[listener])
    return 0


class Ordered:
    """A process that takes orders, from the outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.port = int(self.answer()["port"])

    def ask(self, do: str, **facts: Any) -> dict[str, Any]:
        """Give an order and wait for its answer."""
        self.order(do, **facts)
        return self.answer()

    def order(self, do: str, **facts: Any) -> None:
        """Give an order; ``answer`` waits for what comes of it."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **facts}) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """What came of the oldest order that was not answered."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the process ended; what it said stands above"
        found: dict[str, Any] = json.loads(line)
        return found


@contextlib.contextmanager
def ordered(module: str, *arguments: str) -> Iterator[Ordered]:
    """A process of a module that takes orders, for as long as the block runs."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            found = Ordered(process)
            yield found
            if process.poll() is None:
                found.order("stop")
                process.wait(20)
        finally:
            process.kill()


def served(home: Path, **options: Any) -> contextlib.AbstractContextManager[Ordered]:
    """A console process for as long as the block runs; ``options`` are settings of its."""
    return ordered(__name__, str(home), json.dumps(options))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
