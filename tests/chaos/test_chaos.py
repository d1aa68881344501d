"""Nodes die, cables are cut, Redis freezes, forgets and fails over while jobs come in on every side: nothing is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.world import world

#: rounds of each long test
ROUNDS = int(os.environ.get("HOLDFAST_CHAOS_ROUNDS", "40"))
SEED = int(os.environ.get("HOLDFAST_CHAOS_SEED", "1"))


def test_a_round_of_bad_weather_loses_nothing(tmp_path: Path) -> None:
    with world(tmp_path, "pair", 3) as made:
        made.round()


@pytest.mark.chaos
@pytest.mark.parametrize("kind", ["keeps", "forgets", "pair", "watched"])
def test_many_rounds_of_bad_weather_lose_nothing(kind: str, tmp_path: Path) -> None:
    print(f"seed {SEED}")
    with world(tmp_path, kind, SEED) as made:
        for _ in range(ROUNDS):
            made.round()
        print(made.summary())
