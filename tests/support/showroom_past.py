"""Fills a home with hours of a small company's jobs, through the real sealed store, without waiting for them.

A clock of its own walks second by second from some hours ago until now; made-up workers claim from the store and finish
as real ones do, with leases, retries, an outage and a worker that dies.  ``run.py`` on that home then shows it all.
"""

from __future__ import annotations

import heapq
import math
import random
import sys
import time
from pathlib import Path

import msgspec

from engine import Engine, Settings
from engine.kernel import events as ev
from engine.kernel.clock import FakeClock
from engine.kernel.job import Failure, Job, JobState
from engine.queue.codec import encode
from engine.storage.base import Want

SLOTS = 40
AGENT = "harbour-01"


class Work(msgspec.Struct, frozen=True):
    """A kind of job: how often it comes, how long it runs, how it fails."""

    task: str
    queue: str
    per_minute: float
    seconds: float
    args: dict[str, object]
    failing: float = 0.0
    error: tuple[str, str] = ("TimeoutError", "no answer within 10 s")


WORKS = (
    Work("mail.send", "emails", 96, 0.35, {"to": "orders@harbour.example", "template": "receipt"}, 0.012),
    Work("thumbnails.make", "default", 72, 1.1, {"photo": "/srv/photos/4711.jpg", "sizes": [160, 640]}, 0.002),
    Work("webhooks.deliver", "webhooks", 48, 0.7, {"url": "https://hooks.harbour.example/orders"}, 0.03,
         ("ConnectError", "hooks.harbour.example refused the connection")),
    Work("documents.extract", "documents", 30, 2.4, {"path": "inbox/manifest-0417.pdf"}, 0.012,
         ("DocumentBroken", "page 14 has no text layer")),
    Work("invoices.render", "reports", 18, 3.6, {"invoice": 20307, "lang": "en"}, 0.015, ("KeyError", "'customer_id'")),
    Work("ledger.sync", "integrations", 6, 6.0, {"since": "2026-11-01"}, 0.02,
         ("HTTPStatusError", "503 from ledger.harbour.example")),
    Work("maintenance.prune", "maintenance", 0.6, 4.0, {"days": 30}),
)  # fmt: skip


class Past:
    """The walk from then to now."""

    def __init__(self, home: Path, now: float, hours: float) -> None:
        self.random = random.Random(7)
        self.clock = FakeClock(now - hours * 3600)
        self.now = now
        self.engine = Engine(Settings(home=home, durability="process"), clock=self.clock)
        self.store = self.engine.store
        self.queues = {work.queue: SLOTS for work in WORKS}
        self.works = {work.task: work for work in WORKS}
        self.running: list[tuple[float, int, int, Job, float]] = []
        self.count = 0

    def walk(self) -> int:
        """Everything until now; returns how many jobs there were."""
        self.store.record([ev.AgentStarted(self.clock.now(), AGENT, {"host": AGENT, "concurrency": SLOTS})])
        while self.clock.now() < self.now:
            self._second(last=self.now - self.clock.now() < 30)
            self.clock.advance(1.0)
        self._finish(math.inf)
        self._leave_some()
        self.engine.stop()
        return self.count

    def _second(self, last: bool) -> None:
        self.store.put([self._job(work) for work in WORKS for _ in range(self._arrivals(work))])
        self.store.promote()
        self.store.renew({token for _, _, token, _, _ in self.running})
        self._finish(self.clock.now())
        if self.count % 9000 == 8999:
            self.running.clear()  # the worker dies: nobody renews these, the store takes them back
        while len(self.running) < SLOTS and (
            claim := self.store.claim(Want(self.queues, AGENT, SLOTS - len(self.running)))
        ):
            for job in claim.jobs:
                self._begin(job, claim.token)

    def _begin(self, job: Job, token: int) -> None:
        began = self.clock.now() + self.random.random() * 0.3
        seconds = self.works[job.task].seconds * self.random.lognormvariate(0, 0.5)
        self.count += 1
        heapq.heappush(self.running, (began + seconds, self.count, token, job, began))

    def _arrivals(self, work: Work) -> int:
        """How many in this second: by the hour's tide, with a lull, and a burst after it."""
        ago = (self.now - self.clock.now()) / 60
        tide = 1 + 0.12 * math.sin(ago / 9) + 0.06 * math.sin(ago / 3.1)
        lull = 0.72 if 31 < ago < 44 else 1.06
        wanted = work.per_minute / 60 * tide * lull
        return int(wanted) + (self.random.random() < wanted % 1)

    def _job(self, work: Work, **more: object) -> ev.JobEnqueued:
        at = self.clock.now() + self.random.random()
        milliseconds, tail = int(at * 1000), self.random.getrandbits(62)
        id = (
            f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7{self.random.getrandbits(12):03x}"
            f"-{0x8000 | tail >> 48:04x}-{tail & 0xFFFFFFFFFFFF:012x}"
        )
        payload = encode(work.args, {"source": "web shop"}, "")
        return ev.JobEnqueued(
            self.clock.now(), id, work.queue, work.task, payload, max_attempts=4, timeout=120.0, **more
        )  # type: ignore[arg-type]

    def _finish(self, until: float) -> None:
        ends: list[ev.AttemptEnded] = []
        notes: list[ev.Event] = []
        while self.running and self.running[0][0] <= until:
            ended, _, token, job, began = heapq.heappop(self.running)
            notes.append(ev.JobStarted(began, job.id, token, job.attempt, self._worker(job)))
            notes.append(ev.JobLogged(began, job.id, job.attempt, self._said(job, began, ended)))
            ends.append(self._end(ended, token, job, began))
        if ends:
            self.store.finish(ends, notes)

    def _said(self, job: Job, began: float, ended: float) -> list[tuple[float, str, str]]:
        said = [
            (began, "INFO", f"attempt {job.attempt} of {job.max_attempts}"),
            (began + 0.02, "INFO", "opened the source"),
        ]
        slow = ended - began > 2 * self.works[job.task].seconds
        return [*said, (ended - 0.05, "WARNING", "slower than usual")] if slow else said

    def _end(self, ended: float, token: int, job: Job, began: float) -> ev.AttemptEnded:
        work = self.works[job.task]
        common = {
            "at": ended, "id": job.id, "token": token, "attempt": job.attempt, "worker": self._worker(job), "started_at": began,
            "duration": ended - began, "cpu": (ended - began) * 0.4, "memory": 61_000_000, "queue": job.queue,
        }  # fmt: skip
        ago = (self.now - ended) / 60
        outage = work.task == "webhooks.deliver" and 18 < ago < 21
        again = 0.75 if job.attempt > 1 and work.failing < 0.02 else 0.3
        if self.random.random() >= (0.6 if outage else again if job.attempt > 1 else work.failing):
            return ev.JobCompleted(**common, result=b'{"ok":true}')  # type: ignore[arg-type]
        failure = Failure(*work.error, _traceback(work), f"{work.task}-{work.error[0]}")
        if job.attempt >= job.max_attempts:
            return ev.JobDied(**common, failure=failure)  # type: ignore[arg-type]
        wait = 2.0**job.attempt * self.random.uniform(0.6, 1.2)
        return ev.JobRetryScheduled(**common, failure=failure, run_at=ended + wait)  # type: ignore[arg-type]

    def _worker(self, job: Job) -> str:
        return f"{AGENT}/worker-{int(job.id[-2:], 16) % SLOTS + 1}"

    def _leave_some(self) -> None:
        """What waits when one comes in: a paused queue, and jobs for tonight."""
        prune, ledger = self.works["maintenance.prune"], self.works["ledger.sync"]
        self.store.pause("maintenance", True, "admin")
        self.store.put([self._job(prune) for _ in range(4)])
        self.store.put([self._job(ledger, run_at=self.now + 3600 * n) for n in range(1, 4)])
        assert self.store.counts()["maintenance"][JobState.AVAILABLE] == 4


def _traceback(work: Work) -> str:
    module = work.task.split(".")[0]
    lines = (
        f'  File "{module}.py", line 41, in {work.task.split(".")[1]}',
        f'  File "{module}.py", line 87, in _answer',
    )
    return "\n".join(("Traceback (most recent call last):", *lines, f"{work.error[0]}: {work.error[1]}"))


if __name__ == "__main__":
    began = time.monotonic()
    made = Past(Path(sys.argv[1]), time.time(), float(sys.argv[2]) if len(sys.argv) > 2 else 2.2).walk()
    print(f"{made:,} attempts in {time.monotonic() - began:.1f} s")
