from __future__ import annotations

import threading

import pytest

from engine.kernel.bell import Bell
from engine.kernel.clock import SystemClock
from engine.storage.memory import MemoryStore
from engine.workers.feeder import Feeder
from engine.workers.pacer import SATURATED, SLACK, STALLED, Pacer
from tests.support.waiting import until
from tests.unit.engine.workers.rooms import claim, put

clock = SystemClock()


@pytest.fixture
def feeder() -> Feeder:
    """One with a batch at hand and two workers lying down."""
    store = MemoryStore(clock)
    feeder = Feeder(store, "a")
    put(store, clock, 3)
    taken = claim(store, 3)
    feeder.ready.extend((job, taken.token) for job in taken.jobs)
    feeder.parked.extend((Bell(), Bell()))
    return feeder


def test_with_the_cpu_idle_and_work_at_hand_one_more_gets_up(feeder: Feeder) -> None:
    pacer = Pacer(feeder, 4, clock)
    pacer._decide(SLACK - 0.1, 0)
    assert len(feeder.parked) == 1 and pacer.surplus == 0


def test_a_batch_from_which_nobody_takes_wakes_one_whatever_the_cpu_does(feeder: Feeder) -> None:
    pacer = Pacer(feeder, 4, clock)
    pacer._decide(1.0, STALLED)
    assert len(feeder.parked) == 1


def test_with_the_cpu_used_up_all_but_one_are_to_lie_down(feeder: Feeder) -> None:
    pacer = Pacer(feeder, 4, clock)
    pacer._decide(SATURATED + 0.1, 0)
    assert (len(feeder.parked), pacer.surplus) == (2, 1)
    assert pacer.should_rest() and not pacer.should_rest()


def test_in_between_everything_stays_as_it_is(feeder: Feeder) -> None:
    pacer = Pacer(feeder, 4, clock)
    pacer._decide((SLACK + SATURATED) / 2, 0)
    assert (len(feeder.parked), pacer.surplus) == (2, 0)


def test_without_a_batch_nobody_is_woken(feeder: Feeder) -> None:
    feeder.ready.clear()
    Pacer(feeder, 4, clock)._decide(0.0, STALLED)
    assert len(feeder.parked) == 2


def test_the_last_worker_that_is_awake_never_lies_down(feeder: Feeder) -> None:
    pacer = Pacer(feeder, 3, clock)
    pacer.surplus = 5
    assert not pacer.should_rest()


def test_it_wakes_workers_while_there_is_a_batch_and_rests_when_it_is_gone(feeder: Feeder) -> None:
    pacer = Pacer(feeder, 4, clock)
    pacer.start()
    feeder.pace.ring()
    until(lambda: not feeder.parked)
    feeder.ready.clear()
    until(lambda: not feeder.paced)
    pacer.stop()
    until(lambda: not any(t.name == "holdfast-pacer" and t is pacer._thread for t in threading.enumerate()))
