"""Stories of a fleet for tests of history: what happens to jobs, each event on the road that it really takes."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from data import Database
from data.recorder import Recorder
from engine.kernel import events as ev
from engine.kernel.clock import FakeClock
from engine.storage.lanes import ENDS, JOBS
from engine.storage.redis.entries import Batch
from tests.support.histories import START, ListLog, enqueued, failure

QUEUE = "default"
#: the road of Redis' own moves
DIRECT = "", ""


class Told(NamedTuple):
    """An event and its road: node and kind of the lane."""

    road: tuple[str, str]
    event: ev.Event


class ReadAhead:
    """Entries of streams that wait to be recorded."""

    def __init__(self, entries: Sequence[Batch] = (), chunk: int = 1_000) -> None:
        self.entries = deque(entries)
        self._chunk = chunk
        self.known: dict[str, str] = {}

    def begin(self, marks: dict[str, str]) -> None:
        self.known = marks

    def recorded(self, marks: dict[str, str]) -> None:
        self.known = marks

    def take(self, most: int) -> list[Batch]:
        return [self.entries.popleft() for _ in range(min(most, self._chunk, len(self.entries)))]


def entries(told: Sequence[Told], size: int = 1, stream: str = QUEUE) -> list[Batch]:
    """A stream in which events came in this order, up to ``size`` of one road in an entry."""
    made: list[Batch] = []
    numbers: Counter[tuple[str, str]] = Counter()
    rest = list(told)
    while rest:
        road = rest[0].road
        taken = []
        while rest and rest[0].road == road and len(taken) < size:
            taken.append(rest.pop(0).event)
        first = numbers[road] + 1
        numbers[road] += len(taken)
        counted = range(first, first + len(taken)) if road != DIRECT else ()
        last = numbers[road] if road != DIRECT else 0
        n = len(made) + 1
        made.append(Batch(stream, f"{n}-{n}", *road, first if last else 0, last, list(counted), taken))
    return made


def record(database: Database, streamed: Sequence[Batch], journal: ListLog | None = None, chunk: int = 1_000) -> None:
    """Record what a console follows, ``chunk`` entries in a batch."""
    recorder = Recorder(database, journal or ListLog(), FakeClock(START), streams=ReadAhead(streamed, chunk))
    try:
        recorder.catch_up()
    finally:
        recorder.close()


def rows(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """All that history holds, free of the numbers of rows and of the order in which they came."""
    plain = database.plain()
    ids = dict(plain.all("SELECT n, id FROM jobs"))
    plain.close()
    found: dict[str, list[tuple[Any, ...]]] = {}
    with database.reading() as connection:
        for table in ("jobs", "attempts", "logs", "outputs", "moments", "minutes", "agents", "conflicts"):
            all_rows = [dict(row._mapping) for row in connection.exec_driver_sql(f"SELECT * FROM {table}")]
            found[table] = sorted(_plain(row, ids) for row in all_rows if row.get("state") != "claimed")
    return found


def _plain(row: dict[str, Any], ids: dict[int, str]) -> tuple[Any, ...]:
    row.pop("n", None) if "minute" not in row else None
    if "job" in row and row["job"] in ids:
        row["job"] = ids[row["job"]]
    return tuple(str(round(value, 3) if isinstance(value, float) else value) for _, value in sorted(row.items()))


def shuffled(told: Sequence[Told], rng: random.Random) -> list[Told]:
    """Another order in which the roads may be read: each keeps its own."""
    roads: dict[tuple[str, str], deque[Told]] = {}
    for one in told:
        roads.setdefault(one.road, deque()).append(one)
    mixed: list[Told] = []
    while roads:
        road = rng.choice(sorted(roads))
        for _ in range(rng.randint(1, 4)):
            if roads[road]:
                mixed.append(roads[road].popleft())
        if not roads[road]:
            del roads[road]
    return mixed


class Life:
    """One job, from its request to its end, as chance has it."""

    def __init__(self, rng: random.Random, job: str) -> None:
        self.rng = rng
        self.job = job
        self.at = START + rng.random()
        self.told: list[Told] = []
        self.attempt = 0
        #: the end of a lease that was taken back, which nobody has heard of yet
        self.ghost: Told | None = None

    def later(self) -> float:
        """A moment after the last."""
        self.at += self.rng.uniform(0.01, 20.0)
        return self.at

    def tell(self) -> list[Told]:
        """The whole story, in the order in which it happened."""
        rng, node = self.rng, self.rng.choice("ab")
        due = self.at + 30 if rng.random() < 0.3 else 0.0
        job = enqueued(self.job, self.at, offered=True, run_at=due, max_attempts=2, args={"job": self.job})
        self._say((node, JOBS), job)
        self.at = max(self.at, due)
        for _ in range(rng.randint(1, 4)):
            if rng.random() < 0.12:
                self._say(DIRECT, ev.JobCancelled(self.later(), self.job, 0, 0, reason="cancelled by eva", queue=QUEUE))
                return self.told
            if not self._runs(rng.choice("ab")):
                return self.told
        return self.told

    def _say(self, road: tuple[str, str], event: ev.Event) -> None:
        self.told.append(Told(road, event))

    def _runs(self, node: str) -> bool:
        """An attempt; whether the job goes on."""
        rng, token = self.rng, int(self.later() * 1e6)
        agent, road = f"agent-{node}", (node, ENDS)
        self._say(DIRECT, ev.JobsClaimed(self.at, token, agent, [self.job]))
        self.attempt += 1
        if self.ghost is not None:
            self.told.append(self.ghost)
            self.ghost = None
        began = 0.0
        if rng.random() < 0.7:
            began = self.later()
            if rng.random() < 0.6:
                self._say(road, ev.JobStarted(began, self.job, token, self.attempt, f"{agent}/w-1", QUEUE))
                self._talks(road, token)
        if rng.random() < 0.15:
            self._say(DIRECT, ev.CancelRequested(self.later(), self.job, "eva", QUEUE))
        return self._ends(road, token, agent, began)

    def _talks(self, road: tuple[str, str], token: int) -> None:
        if self.rng.random() < 0.5:
            share = round(self.rng.random(), 2)
            self._say(road, ev.JobProgressed(self.later(), self.job, self.attempt, share, "on it", QUEUE, token))
        if self.rng.random() < 0.3:
            lines = [(self.later(), "info", f"line {self.at}")]
            self._say(road, ev.JobLogged(self.at, self.job, self.attempt, lines, QUEUE, token))
        if self.rng.random() < 0.3:
            value = str(int(self.at)).encode()
            self._say(road, ev.JobOutput(self.later(), self.job, self.attempt, "page", value, QUEUE, token))

    def _ends(self, road: tuple[str, str], token: int, agent: str, began: float) -> bool:
        rng, at = self.rng, self.later()
        if rng.random() < 0.25:
            reason = ev.CRASHED if began else ev.UNKNOWN_START
            self._say(DIRECT, ev.JobRescued(at, self.job, token, self.attempt, reason=reason, queue=QUEUE))
            if began and rng.random() < 0.4:
                self.ghost = self._too_late(road, token, agent, began)
            return self.ghost is not None or rng.random() < 0.9 or self._comes_back(road, token, agent, began)
        kinds: list[type[ev.AttemptEnded]] = [ev.JobReleased]
        if began:
            kinds += [
                ev.JobCompleted,
                ev.JobRetryScheduled,
                ev.JobRetryScheduled,
                ev.JobSnoozed,
                ev.JobDied,
                ev.JobCancelled,
            ]
        return self._ended(rng.choice(kinds), road, token, agent, began)

    def _comes_back(self, road: tuple[str, str], token: int, agent: str, began: float) -> bool:
        """Its holder was only cut off, and has ended it; nobody else took the job, so that stands."""
        began = began or self.at - 0.5
        return self._ended(ev.JobCompleted, road, token, agent, began)

    def _too_late(self, road: tuple[str, str], token: int, agent: str, began: float) -> Told:
        """Its holder has ended it all the same, and tells when somebody else has the job."""
        at = self.at + 0.5
        fields: dict[str, Any] = {"queue": QUEUE, "worker": f"{agent}/w-1", "started_at": began, "result": b"1"}
        end = ev.JobCompleted(at, self.job, token, self.attempt, duration=at - began, **fields)
        return Told(road, end)

    def _ended(self, kind: type[ev.AttemptEnded], road: tuple[str, str], token: int, agent: str, began: float) -> bool:
        at = self.later()
        fields: dict[str, Any] = {"queue": QUEUE, "worker": f"{agent}/w-1" if began else "", "started_at": began}
        if kind is ev.JobCompleted:
            fields["result"] = str(int(at)).encode()
        if kind in (ev.JobRetryScheduled, ev.JobDied):
            fields["failure"] = failure(f"Error{self.attempt}", f"at {at}", f"f{self.attempt}")
        if kind in (ev.JobRetryScheduled, ev.JobSnoozed):
            fields["run_at"] = self.at = at + self.rng.uniform(1, 20)
        fields["reason"] = self.rng.choice(("", "because"))
        duration = at - began if began else 0.0
        self._say(road, kind(at, self.job, token, self.attempt, duration=duration, **fields))
        if kind is ev.JobDied and self.rng.random() < 0.6:
            self._say(DIRECT, ev.JobRetried(self.later(), self.job, "eva", self.rng.randint(1, 3), queue=QUEUE))
            return True
        return kind in (ev.JobRetryScheduled, ev.JobSnoozed, ev.JobReleased)


def history(seed: int, jobs: int = 3) -> list[Told]:
    """The lives of some jobs, side by side."""
    rng = random.Random(seed)
    lives = [deque(Life(rng, f"job-{seed}-{n}").tell()) for n in range(jobs)]
    told: list[Told] = []
    while lives := [life for life in lives if life]:
        told.append(rng.choice(lives).popleft())
    return told


def copy_of(template: Path, folder: Path) -> Database:
    """A database like the one in ``template``."""
    folder.mkdir()
    (folder / "holdfast.db").write_bytes((template / "holdfast.db").read_bytes())
    return Database("", folder)
