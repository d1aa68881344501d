"""Who waits for a result while the link is lost gets it: a job that cannot be seen for now is not taken for unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from airgap.view import AIRGAPPED, CONNECTED, air_of
from engine import Engine, Settings
from engine.kernel.errors import NotFound, ResultTimeout
from tests.console.api import works
from tests.support.redis_hosts import redis_host
from tests.support.waiting import until


def test_results_are_waited_for_through_a_loss(tmp_path: Path) -> None:
    with redis_host() as host:
        settings = Settings(home=tmp_path, redis=host.url, durability="process")
        with Engine(settings, tasks=[works.__name__]) as engine:
            assert air_of(engine.store).state == CONNECTED
            before = [engine.enqueue("again") for _ in range(3)]  # fails, and waits for minutes in Redis
            until(lambda: all(job.state == "retryable" for job in before), 10, "they failed once")
            host.freeze()
            doubtful = [engine.enqueue("echo", {"number": number}) for number in range(3)]
            until(lambda: air_of(engine.store).state == AIRGAPPED, 3, "the loss is noticed")
            alone = engine.enqueue("echo", {"number": 9})
            assert alone.result(timeout=5)["number"] == 9
            with pytest.raises(ResultTimeout, match="out of sight"):
                before[0].result(timeout=0.1)
            host.thaw()
            assert [job.result(timeout=15)["number"] for job in doubtful] == [0, 1, 2]
            until(lambda: before[0].state == "retryable", 10, "it is seen again")
            until(lambda: not engine.sees_only_some(), 10, "all is sent")
            with pytest.raises(NotFound):
                engine.job("01a201ba-0000-7000-8000-000000000000").result(timeout=5)
