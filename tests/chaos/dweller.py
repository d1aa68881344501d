"""A node that is treated badly: ``python -m tests.chaos.dweller HOME REDIS EFFECTS RETENTION``.

A whole engine with workers.  It reads orders from standard input, one word a line, and answers in JSON lines; while it
feeds, it says each request on standard output only after the engine accepted it.  Every execution leaves a line when it
begins and one when it ends in the file ``EFFECTS``, which all nodes of a world share.  It dies at the fault point that
``HOLDFAST_FAULT`` names, when it is killed, or with the end of its input.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec

from airgap.linked import LinkedStore
from engine import Context, Engine, HoldfastError, Retry, Settings
from engine.kernel import faults
from engine.kernel.errors import Unreachable
from engine.kernel.job import TERMINAL
from engine.queue.request import JobRequest
from engine.queue.task import declare
from engine.storage.lanes import Lane, Mark

#: what is different about each queue
QUEUES: dict[str, dict[str, Any]] = {
    "power": {"durability": "power"},
    "process": {"durability": "process"},
    "direct": {"durability": "redis"},
    "hold": {"durability": "power", "reclaim": "hold"},
}
#: one in so many jobs fails once, is a moment longer, is for later, has an idempotency key
FAILS, LINGERS, LATER, KEYED = 17, 5, 13, 4
#: seconds between two requests of one node, and of one idempotency key's life
PAUSE, KEY_SECONDS = 0.03, 0.5

_effects = -1
_pause = threading.Event()


def work(ctx: Context, number: int, key: str) -> int:
    """Leaves its mark when it begins, and when it ends well."""
    _mark("begin", ctx, key)
    if number % FAILS == 0 and ctx.attempt == 1:
        _mark("fail", ctx, key)
        raise ValueError("fails once")
    if number % LINGERS == 0:
        _pause.wait(0.05 * (number % 7))
    _mark("end", ctx, key)
    return number


def _mark(what: str, ctx: Context, key: str) -> None:
    os.write(_effects, f"{what} {ctx.job_id} {os.getpid()} {ctx.attempt} {ctx.queue} {key or '-'}\n".encode())


class Dweller:
    """The engine, what feeds it, and what it answers."""

    def __init__(self, home: Path, redis: str, retention: float) -> None:
        settings = Settings(home=home, redis=redis, workers=4, queues=QUEUES, journal_retention=retention)
        self.engine = Engine(settings)
        for queue in QUEUES:
            self.engine.add(
                declare(
                    work, name=f"chaos.{queue}", queue=queue, max_attempts=4, backoff=Retry(initial=0.01, maximum=0.02)
                )
            )
        assert isinstance(self.engine.store, LinkedStore)
        self.store = self.engine.store
        self._dice = random.Random()
        self._number = 0
        self._feeding = False
        self._stopping = False
        self._said = threading.Lock()

    def say(self, **words: Any) -> None:
        """One line, whole."""
        with self._said:
            sys.stdout.write(json.dumps(words) + "\n")
            sys.stdout.flush()

    def feed(self) -> None:
        """Enqueue while it is wished for."""
        while not self._stopping:
            if self._feeding:
                self._enqueue([self._request() for _ in range(self._dice.randint(1, 4))])
            _pause.wait(PAUSE)

    def _enqueue(self, requests: list[JobRequest]) -> None:
        try:
            handles = self.engine.submit(requests)
        except HoldfastError as error:
            self.say(refused=f"{type(error).__name__}: {error}")
            return
        accepted = [
            (handle.id, request.task.partition(".")[2], request.idempotency_key or "")
            for handle, request in zip(handles, requests, strict=True)
            if not isinstance(handle, HoldfastError)
        ]
        self.say(accepted=accepted)

    def _request(self) -> JobRequest:
        self._number += 1
        queue = self._dice.choice(list(QUEUES))
        turn = int(self.engine.clock.now() / KEY_SECONDS)
        key = f"{queue}-{turn}-{self._dice.randint(1, 2)}" if self._dice.randrange(KEYED) == 0 else ""
        delay = self._dice.random() if self._number % LATER == 0 else None
        args = {"number": self._number, "key": key}
        return JobRequest(f"chaos.{queue}", args, idempotency_key=key or None, delay=delay)

    def obey(self, order: str, *words: str) -> None:
        """Do what is asked, and answer."""
        self.say(**{order: getattr(self, f"on_{order}")(*words)})

    def on_feed(self) -> None:
        """Begin to enqueue."""
        self._feeding = True

    def on_rest(self) -> None:
        """Enqueue no more."""
        self._feeding = False

    def on_force(self) -> None:
        """Be cut off by hand."""
        self.store.force("chaos")

    def on_release(self) -> None:
        """Be no longer."""
        self.store.release("chaos")

    def on_sync(self) -> None:
        """Look for Redis now."""
        self.store.sync("chaos")

    def on_view(self) -> Any:
        """How it stands."""
        air = self.store.air()
        return msgspec.to_builtins(air) | {"last_proof": air.last_proof is not None and air.last_proof.equal}

    def on_left(self) -> dict[str, dict[str, int]]:
        """Jobs by queue and state that have not ended."""
        return {
            queue: {state: n for state, n in states.items() if n and state not in TERMINAL}
            for queue, states in self.engine.counts().items()
        }

    def on_states(self, file: str) -> dict[str, tuple[str, str]]:
        """What became of the jobs whose ids stand in a file: state and reason of each that is known."""
        ids = Path(file).read_text().split()
        return {id_: (view.state.value, view.reason) for id_, view in self.engine.views(ids).items()}

    def on_marks(self) -> list[tuple[str, str, int, int, bool]]:
        """Lanes on which both sides do not agree."""
        resync, found = self.store.resync, []
        ours: dict[Lane, Mark] = resync.ledger.marks
        theirs = self.store.remote.marks(resync.node, 0, {lane.queue for lane in ours})
        for lane, mark in ours.items():
            there = theirs.get(lane, Mark())
            if mark != there:
                found.append((lane.queue, lane.kind, mark.number, there.number, mark.chain == there.chain))
        return found

    def live(self) -> None:
        """Until there are no more orders."""
        with self.engine:
            feeder = threading.Thread(target=self.feed, name="feeder")
            feeder.start()
            self.say(up=True)
            for line in sys.stdin:
                try:
                    self.obey(*line.split())
                except Unreachable as error:
                    self.say(**{line.split()[0]: None, "error": str(error)})
            self._stopping = True
            feeder.join()


def main() -> None:
    """Live until killed."""
    global _effects
    home, redis, effects = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    faults.arm_from(os.environ.get("HOLDFAST_FAULT", ""))
    _effects = os.open(effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    Dweller(home, redis, float(sys.argv[4])).live()


if __name__ == "__main__":
    main()
