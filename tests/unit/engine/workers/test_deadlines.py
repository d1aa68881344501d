from __future__ import annotations

from engine.kernel.clock import FakeClock, SystemClock
from engine.kernel.errors import AttemptTimeout
from engine.workers.deadlines import LONGEST, Deadlines
from tests.support.waiting import until


class Patient:
    """An attempt and its body in one, that notes what it is interrupted with."""

    def __init__(self, finished: bool = False) -> None:
        self.finished = finished
        self.told: list[BaseException] = []

    @property
    def body(self) -> Patient:
        return self

    def run(self) -> None:
        """Never asked."""

    def interrupt(self, error: BaseException) -> None:
        self.told.append(error)


def still(clock: FakeClock) -> Deadlines:
    """One whose thread does nothing, so that the test decides when it looks."""
    deadlines = Deadlines(clock)
    deadlines.stop()
    return deadlines


def test_an_attempt_is_interrupted_once_and_not_before_its_time() -> None:
    clock = FakeClock()
    deadlines, attempt = still(clock), Patient()
    deadlines.watch(attempt, 5)
    clock.advance(4.9)
    assert 0 < (deadlines.run_once() or 0) <= 0.11 and not attempt.told
    clock.advance(0.2)
    assert deadlines.run_once() is None
    deadlines.run_once()
    assert [str(error) for error in attempt.told] == ["ran longer than its timeout of 5 s"]
    assert isinstance(attempt.told[0], AttemptTimeout)


def test_what_is_over_is_forgotten_at_once_however_long_its_timeout_is() -> None:
    deadlines = still(FakeClock())
    for _ in range(1_000):
        attempt = Patient()
        deadlines.watch(attempt, 86_400)
        deadlines.unwatch(attempt)
    deadlines.unwatch(Patient())
    assert len(deadlines) == 0


def test_one_that_just_finished_is_left_alone() -> None:
    clock = FakeClock()
    deadlines, attempt = still(clock), Patient(finished=True)
    deadlines.watch(attempt, 1)
    clock.advance(2)
    deadlines.run_once()
    assert not attempt.told and len(deadlines) == 0


def test_a_jump_of_the_wall_clock_interrupts_nobody() -> None:
    clock = FakeClock()
    deadlines, attempt = still(clock), Patient()
    deadlines.watch(attempt, 5)
    clock.jump(1_000_000)
    deadlines.run_once()
    assert not attempt.told


def test_it_never_sleeps_longer_than_a_thread_can() -> None:
    deadlines = still(FakeClock())
    deadlines.watch(Patient(), 1e12)
    assert deadlines.run_once() == LONGEST


def test_a_shorter_timeout_that_comes_later_is_kept_too() -> None:
    deadlines, long, short = Deadlines(SystemClock()), Patient(), Patient()
    deadlines.watch(long, 600)
    deadlines.watch(short, 0.05)
    until(lambda: short.told)
    assert not long.told
    deadlines.stop()
