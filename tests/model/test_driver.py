"""The protocol holds in random histories, and these histories go where it hurts."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.model.driver import findings, live, setting_of, words_of
from tests.model.protocol import Rules
from tests.model.server import MERGED


def _first_finding(seeds: range) -> object:
    return next(findings(Rules(), seeds), None)


def test_ten_thousand_random_histories_break_nothing() -> None:
    assert _first_finding(range(10_000)) is None


@pytest.mark.chaos
@pytest.mark.parametrize("part", range(4))
def test_two_hundred_thousand_more_break_nothing(part: int) -> None:
    assert _first_finding(range(10_000 + part * 50_000, 60_000 + part * 50_000)) is None


def test_a_history_is_the_same_each_time_it_is_told() -> None:
    first, second = (live(Rules(), setting_of(7), words_of(7)) for _ in range(2))
    assert (first.accepted, first.server.jobs) == (second.accepted, second.server.jobs)


def test_the_histories_know_conflicts_merges_new_names_rescues_and_late_messages() -> None:
    met: Counter[str] = Counter()
    for seed in range(600):
        world = live(Rules(), setting_of(seed), words_of(seed))
        met["jobs"] += len(world.accepted)
        met["executions"] += sum(world.starts.values())
        met["conflicts"] += len(world.server.conflicts)
        met["merges"] += sum(kept.state == MERGED for kept in world.server.jobs.values())
        met["names"] += sum(len(node.names) > 1 for node in world.nodes)
        met["rescues"] += sum(world.causes.values())
        met["regressions"] += world.regressed
    assert min(met.values()) >= 20, met
    assert met["jobs"] > 1500, met
