"""A crowd of simulated agents: one process says for each of them, once a second, that it is there, as real ones do."""

from __future__ import annotations

import contextlib
import json
import sys
import threading

import msgspec

from engine.fleet.base import BEAT_SECONDS, AgentView, CurrentJob
from engine.fleet.scripts import script, tag_of
from engine.kernel.clock import SystemClock
from engine.kernel.job import new_id
from engine.storage.redis.client import Client
from engine.storage.redis.connect import target_of


class Crowd:
    """Beats, spread over the second."""

    def __init__(self, client: Client, count: int) -> None:
        self._client = client
        self._names = [f"simulated-{number:03}" for number in range(count)]
        self._clock = SystemClock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="crowd", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(BEAT_SECONDS / len(self._names)):
            name = self._names[number % len(self._names)]
            blob = msgspec.msgpack.encode(self._view(name))
            self._client.call(script("beat"), tag_of("main"), name, "life", "up", blob)
            number += 1

    def _view(self, name: str) -> AgentView:
        """Eight running jobs, as a busy agent has."""
        now = self._clock.now()
        jobs = tuple(CurrentJob(new_id(), "shop.send", "emails", now) for _ in range(8))
        return AgentView(
            id=name, fleet="main", name=name, node=name, host=name, pid=1, version="0.1.0", capabilities=(), tenants=(),
            queues=("default", "emails"), concurrency=8, busy=8, presence="online", paused=False, started_at=now,
            seen_at=now, cpu=0.5, memory=2**27, done=1_000, failed=1, mean_seconds=0.1, current=jobs, link="connected",
        )  # fmt: skip


def main(url: str, count: str) -> int:
    """Beat until told to stop."""
    with contextlib.closing(Client(target_of(url))) as client, contextlib.closing(Crowd(client, int(count))) as crowd:
        crowd.start()
        print(json.dumps({"port": 0}), flush=True)
        sys.stdin.readline()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
