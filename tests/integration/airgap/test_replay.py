"""What a restart rebuilds is what was there: random moves on a real store, against the same store read back."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from airgap import JournalStore
from engine.kernel import events as ev
from engine.kernel.clock import FakeClock
from engine.kernel.job import Failure, JobState
from engine.storage.base import Want
from tests.support.journals import a_job, picture, store_in

MOVES = [
    "put",
    "put",
    "claim",
    "complete",
    "fail",
    "snooze",
    "die",
    "release",
    "cancel",
    "retry",
    "delete",
    "time",
    "value",
]


class Play:
    """Makes random moves."""

    def __init__(self, store: JournalStore, clock: FakeClock, seed: int) -> None:
        self.store = store
        self.clock = clock
        self.random = random.Random(seed)
        self.count = 0
        self.held: list[tuple[str, int, int]] = []

    def move(self) -> None:
        getattr(self, self.random.choice(MOVES))()

    def put(self) -> None:
        pick = self.random
        jobs = []
        for _ in range(pick.randint(1, 4)):
            self.count += 1
            later = pick.choice([0.0, 0.0, 2.0])
            now = self.clock.now()
            jobs.append(
                ev.JobEnqueued(
                    now, f"job-{self.count}", pick.choice(["mail", "reports"]), "send", b"{}", pick.randint(1, 10),
                    pick.choice(["", "acme"]), now + later if later else 0.0, pick.choice([0.0, now + 3]), 3, 0.0,
                    pick.choice(["", f"request-{pick.randint(1, 30)}"]), pick.choice(["", f"unique-{pick.randint(1, 5)}"]),
                )
            )  # fmt: skip
        self.store.put(jobs)

    def claim(self) -> None:
        claim = self.store.claim(Want({"mail": 2, "reports": 2}, "agent", 3))
        if claim:
            self.held += [(job.id, claim.token, job.attempt) for job in claim.jobs]

    def end(self, kind: type[ev.AttemptEnded], **fields: object) -> None:
        if self.held:
            id_, token, attempt = self.held.pop(self.random.randrange(len(self.held)))
            now = self.clock.now()
            self.store.finish([kind(now, id_, token, attempt, "agent/1", now - 0.1, 0.1, **fields)])

    def complete(self) -> None:
        self.end(ev.JobCompleted, result=b"1")

    def fail(self) -> None:
        self.end(ev.JobRetryScheduled, failure=Failure("ValueError", "no"), run_at=self.clock.now() + 1)

    def snooze(self) -> None:
        self.end(ev.JobSnoozed, run_at=self.clock.now() + 1)

    def die(self) -> None:
        self.end(ev.JobDied, failure=Failure("ValueError", "no"))

    def release(self) -> None:
        self.end(ev.JobReleased)

    def cancel(self) -> None:
        self.store.cancel([f"job-{self.random.randint(1, self.count + 1)}"], "ann")

    def retry(self) -> None:
        self.store.retry([f"job-{self.random.randint(1, self.count + 1)}" for _ in range(3)], "ann")

    def delete(self) -> None:
        self.store.delete([f"job-{self.random.randint(1, self.count + 1)}"], "ann")

    def time(self) -> None:
        self.clock.advance(self.random.choice([0.2, 1.0, 5.0]))
        self.store.promote()

    def value(self) -> None:
        key = self.random.choice("abc")
        if self.random.random() < 0.7:
            self.store.set_value(key, str(self.random.random()).encode(), self.random.choice([None, 3.0]))
        else:
            self.store.swap(key, self.store.value(key), None)


def settled(store: JournalStore) -> dict[str, object]:
    """The state, once nothing is held any more and what is due was made so."""
    store.rescue_all()
    store.promote()
    views = {id_: msgspec.structs.replace(view, progress=None) for id_, view in picture(store).items()}
    return {"jobs": views, "counts": store.counts(), "values": store.values(), "ended": dict(store.fold.ended)}


@pytest.mark.parametrize("seed", range(12))
def test_a_store_read_back_equals_the_one_that_wrote_it(tmp_path: Path, seed: int) -> None:
    clock = FakeClock()
    store = store_in(tmp_path, clock, durability="process")
    play = Play(store, clock, seed)
    for step in range(300):
        play.move()
        if step % 100 == 70 and seed % 2:
            store.keeper.checkpoint()
    before = settled(store)
    store.close()
    again = store_in(tmp_path, clock, durability="process")
    after = settled(again)
    again.close()
    for part in before:
        assert after[part] == before[part], part


def test_a_scheduled_job_that_ran_is_not_run_again_after_a_restart(tmp_path: Path) -> None:
    clock = FakeClock()
    store = store_in(tmp_path, clock)
    store.put([a_job("late", run_at=clock.now() + 5)])
    clock.advance(6)
    claim = store.claim(Want({"mail": 1}, "agent", 1))
    assert claim is not None
    store.finish([ev.JobCompleted(clock.now(), "late", claim.token, 1)])
    store.close()
    again = store_in(tmp_path, clock)
    assert again.get(["late"])["late"].state == JobState.COMPLETED
    again.close()
