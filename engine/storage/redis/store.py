"""Jobs in Redis: the storage contract, one Lua script for every atomic move.

What a move does stands in ``lua/``; here are its arguments and what is made of the answer.  Invariants: every moving script
writes one entry to the stream of its queue; what became true is told on the bus of this process after it is true; time is
Redis' own.  Nothing here is sent twice: a call that was not answered raises ``Unreachable``, and whoever repeats it repeats
it by id and token, which changes nothing a second time.

Each queue has a slot of its own, which is why two promises are weaker than in the other stores.  A put of more than
``enqueuing.CALL_JOBS`` jobs, or for several queues, is several scripts: if one of them is refused, those before it were
accepted, and may be put again.  An idempotency key names the first job of its queue, and results are limited by queue.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence

import msgspec

from engine.kernel import events as ev
from engine.kernel.bus import Bus
from engine.kernel.clock import Clock, SystemClock
from engine.kernel.faults import reached
from engine.storage.base import CRASH_CAP, LEASE_SECONDS, Accepted
from engine.storage.redis import enqueuing
from engine.storage.redis.client import Client
from engine.storage.redis.door import Door
from engine.storage.redis.lanes import Lanes
from engine.storage.redis.looking import Looking
from engine.storage.redis.news import News
from engine.storage.redis.scripts import script
from engine.storage.redis.values import Values
from engine.storage.redis.wishes import Wishes

#: calls in one pipeline
PIPELINE = 16
#: stands among the answers of ``put`` for a queue of which Redis knew nothing
NEW_HERE = -1
#: seconds that entries of the streams are kept
STREAM_SECONDS = 86_400.0
#: seconds between two looks for entries that are older
TRIM_SECONDS = 60.0


class RedisStore(Lanes, Wishes, Looking, Values):
    """Implements ``engine.storage.lanes.Remote`` over one Redis, which may be a Cluster."""

    def __init__(
        self,
        client: Client,
        clock: Clock | None = None,
        bus: Bus | None = None,
        *,
        fleet: str = "main",
        agent: str = "",
        result_ttl: float = 86_400.0,
        result_limit: int = 100_000,
        idempotency_ttl: float = 86_400.0,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        super().__init__(client, clock or SystemClock(), bus or Bus(), fleet)
        #: who ends attempts here, as conflicts name it
        self.agent = agent or secrets.token_hex(8)
        self.lease_seconds = lease_seconds
        self.result_ttl = result_ttl
        self.result_limit = result_limit
        self.idempotency_ttl = idempotency_ttl
        self.door = Door(client, self.clock, lambda queue: f"{self.tag(queue)}wk", self._called)
        self.news = News(client, lambda: [f"{self.tag(queue)}end" for queue in self.queues()])
        self._trimmed_at = self.clock.monotonic()
        self._begin_leasing()

    def open(self) -> None:
        """Make ready; Redis need not answer yet."""
        self.client.open()

    def close(self) -> None:
        """Let go of Redis; waiters go."""
        self.door.close()
        self.news.close()
        self.client.close()

    def facts(self) -> dict[str, object]:
        """See ``Store.facts``.  Raises ``Unreachable``."""
        info = dict(
            line.split(b":", 1) for line in self.client.everywhere("INFO", "memory")[0].split(b"\r\n") if b":" in line
        )
        return {
            "kind": "redis",
            "address": self.client.address,
            "used": int(info.get(b"used_memory", 0)),
            "limit": int(info.get(b"maxmemory", 0)),
        }

    # --- jobs in ---

    def put(self, jobs: Sequence[ev.JobEnqueued]) -> list[Accepted]:
        """See ``QueueStore.put``; all or none of each call's jobs (see above)."""
        reached("put.before_append")
        pieces = list(enqueuing.by_queue(jobs))
        self.register({queue for queue, _, _ in pieces})
        answers: dict[int, Accepted] = {}
        for start in range(0, len(pieces), PIPELINE):
            some = pieces[start : start + PIPELINE]
            calls = [
                ("put", queue, (*enqueuing.arguments(its, raws), self.idempotency_ttl)) for queue, its, raws in some
            ]
            for (queue, its, _), known in zip(some, self.run_all(calls), strict=True):
                self._accepted(queue, its, known, answers)
        return [answers[id(job)] if first else Accepted(answers[id(job)].id, False) for job, first in _firsts(jobs)]

    def _accepted(
        self,
        queue: str,
        jobs: Sequence[ev.JobEnqueued],
        known: Sequence[tuple[int, bytes]],
        answers: dict[int, Accepted],
    ) -> None:
        first_of = {index - 1: first.decode() for index, first in known}
        if first_of.pop(NEW_HERE, None) is not None:
            self.register((queue,), anew=True)
        fresh = [job for index, job in enumerate(jobs) if index not in first_of] if first_of else jobs
        self.places.remember([job.id for job in fresh], queue)
        for index, job in enumerate(jobs):
            answers.setdefault(id(job), Accepted(first_of.get(index, job.id), index not in first_of))
        if fresh:
            self.bus.publish(fresh)
            self._called(queue)
            self.door.ring()

    # --- time ---

    def promote(self) -> float | None:
        """See ``QueueStore.promote``."""
        args = (self.clock.now(), CRASH_CAP, self.result_ttl, self.result_limit, self.idempotency_ttl, "")
        queues = sorted(self.queues())
        answers = self.run_all([("promote", queue, (args[0], queue, *args[1:])) for queue in queues])
        dues = []
        for due, taken, count, blob in answers:
            self.publish(count, blob)
            if taken:
                self.door.ring()
            if due:
                dues.append(float(due))
        self._tidy(queues)
        return min(dues) if dues else None

    def take_back(self, queue: str, tokens: Iterable[int]) -> int:
        """Take back what leases hold, whether they expired or not; returns how many jobs."""
        held = " ".join(f"{token:016d}" for token in tokens)
        _, taken, count, blob = self.run(
            "promote", queue, self.clock.now(), queue, CRASH_CAP, self.result_ttl, self.result_limit,
            self.idempotency_ttl, held,
        )  # fmt: skip
        self.publish(count, blob)
        return int(taken)

    def _tidy(self, queues: Sequence[str]) -> None:
        """Now and then: drop old entries of the streams and values that expired."""
        if self.clock.monotonic() - self._trimmed_at < TRIM_SECONDS:
            return
        self._trimmed_at = self.clock.monotonic()
        self.sweep()
        self.run_all([("trim", queue, (STREAM_SECONDS,)) for queue in queues])
        self.client.call(script("trim"), self.fleet_tag, self.time(), STREAM_SECONDS)

    def wait(self, timeout: float) -> bool:
        """See ``QueueStore.wait``; wakes by itself when something of the queues claimed from is due."""
        return self.door.wait(timeout)

    def wake(self) -> None:
        """See ``QueueStore.wake``."""
        self.door.ring()

    # --- news ---

    def follow_ends(self, told: Callable[[Iterable[str]], None]) -> Callable[[], None]:
        """Tell the ids of jobs that end, wherever they ran, until the function returned is called."""
        return self.news.follow(told)

    def record(self, events: Sequence[ev.Event]) -> None:
        """See ``QueueStore.record``; they go to the fleet's stream."""
        if not events:
            return
        blob = b"".join([msgspec.msgpack.encode(event) for event in events])
        self.client.call(script("record"), self.fleet_tag, self.time(), len(events), blob)
        self.bus.publish(events)


def _firsts(jobs: Sequence[ev.JobEnqueued]) -> Iterable[tuple[ev.JobEnqueued, bool]]:
    """Each job, and whether the same object was not there before."""
    seen: set[int] = set()
    for job in jobs:
        yield job, id(job) not in seen
        seen.add(id(job))
