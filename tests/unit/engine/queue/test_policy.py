from __future__ import annotations

from typing import Any

import pytest

from engine.kernel.errors import ValidationError
from engine.queue.policy import QueuePolicy, changed, rate_of
from engine.storage.base import QueueLimits


@pytest.mark.parametrize(
    ("text", "rate"),
    [("5/s", (5, 1)), ("100/m", (100, 60)), ("1000/15m", (1000, 900)), (" 5 / 10 s ", (5, 10)), ("1/h", (1, 3600)),
     ("7/d", (7, 86_400))],
)  # fmt: skip
def test_a_rate_is_jobs_per_time(text: str, rate: tuple[float, float]) -> None:
    assert rate_of(text) == rate


@pytest.mark.parametrize("text", ["", "5", "0/s", "5/0s", "-5/s", "5/x", "5/s extra", "1.5/s", "a/s", 5, None])
def test_another_rate_is_refused(text: object) -> None:
    with pytest.raises(ValidationError, match="rate_limit: expected jobs per time as 5/s") as refused:
        rate_of(text)
    assert refused.value.field == "rate_limit"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("concurrency", 0), ("concurrency", True), ("concurrency", 2.0), ("concurrency", 100_001), ("rate_limit", "fast"),
        ("priority", 0), ("priority", 11), ("priority", "high"), ("priority", True), ("retry", 5),
        ("retry", {"initial": "x"}), ("retention", -1), ("retention", "soon"), ("colour", "red"),
        ("durability", "disk"), ("durability", 1), ("reclaim", None), ("reclaim", "never"), ("airgap", "stop"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named_and_nothing_changes(name: str, value: Any) -> None:
    policy = QueuePolicy("q", concurrency=3)
    with pytest.raises(ValidationError) as refused:
        changed(policy, {"priority": 2, name: value})
    assert refused.value.field == name
    assert policy == QueuePolicy("q", concurrency=3)


def test_settings_are_replaced_and_nothing_takes_a_limit_away() -> None:
    policy = changed(QueuePolicy("q"), {"concurrency": 2, "rate_limit": "5/s", "priority": 1, "retention": 60})
    assert policy.limits() == QueueLimits(2, (5.0, 1.0), (), 1)
    freed = changed(policy, {"concurrency": None, "rate_limit": None, "retry": None, "retention": None})
    assert freed.limits() == QueueLimits(None, None, (), 1)


def test_a_store_is_told_what_becomes_of_a_queue_when_the_link_goes() -> None:
    policy = changed(QueuePolicy("q"), {"durability": "redis", "reclaim": "hold", "airgap": "wait"})
    assert policy.limits() == QueueLimits(durability="redis", reclaim="hold", airgap="wait")
    assert changed(policy, {"durability": None}).limits().durability is None
