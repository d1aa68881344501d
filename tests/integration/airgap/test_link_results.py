"""Who waits for a result while the link is lost gets it: a job that cannot be seen for now is not taken for unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from airgap.view import AIRGAPPED, CONNECTED, air_of
from engine import Engine, Settings
from engine.handle import Waiters
from engine.kernel.bus import Bus
from engine.kernel.clock import SystemClock
from engine.kernel.errors import NotFound, ResultTimeout
from engine.kernel.job import JobState, JobView
from tests.console.api import works
from tests.support.redis_hosts import redis_host
from tests.support.waiting import until

PATIENCE = 60.0


def test_results_are_waited_for_through_a_loss(tmp_path: Path) -> None:
    with redis_host() as host:
        settings = Settings(home=tmp_path, redis=host.url, durability="process")
        with Engine(settings, tasks=[works.__name__]) as engine:
            until(lambda: air_of(engine.store).state == CONNECTED, PATIENCE, "connected")
            before = [engine.enqueue("again") for _ in range(3)]  # fails, and waits for minutes in Redis
            until(lambda: all(job.state == "retryable" for job in before), PATIENCE, "they failed once")
            host.freeze()
            doubtful = [engine.enqueue("echo", {"number": number}) for number in range(3)]
            until(lambda: air_of(engine.store).state == AIRGAPPED, PATIENCE, "the loss is noticed")
            alone = engine.enqueue("echo", {"number": 9})
            assert alone.result(timeout=PATIENCE)["number"] == 9
            with pytest.raises(ResultTimeout, match="out of sight"):
                before[0].result(timeout=0.1)
            host.thaw()
            assert [job.result(timeout=PATIENCE)["number"] for job in doubtful] == [0, 1, 2]
            until(lambda: before[0].state == "retryable", PATIENCE, "it is seen again")
            until(lambda: not engine.sees_only_some(), PATIENCE, "all is sent")
            with pytest.raises(NotFound):
                engine.job("01a201ba-0000-7000-8000-000000000000").result(timeout=PATIENCE)


def test_a_look_that_meets_the_loss_itself_is_not_the_word_that_a_job_is_unknown() -> None:
    done = JobView("id", "q", "t", JobState.COMPLETED, 5, "", 0.0, 0.0, 0.0, 1, 0.0, 1, 0, b"")
    looks, lost = iter([None, done]), False

    def look() -> JobView | None:
        nonlocal lost
        lost = True  # as a call that Redis does not answer makes the link suspect
        return next(looks)

    waiters = Waiters(Bus(), SystemClock(), lambda told: lambda: None)
    assert waiters.wait("id", PATIENCE, look, lambda: lost) is done
