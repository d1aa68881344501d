"""How full is full."""

from __future__ import annotations

import pytest

from airgap.quota import Level, Quota


@pytest.mark.parametrize(
    ("used", "level"),
    [
        (0, Level.OK),
        (629, Level.OK),
        (630, Level.WARNING),
        (810, Level.CRITICAL),
        (900, Level.FULL),
        (5000, Level.FULL),
    ],
)
def test_levels_are_shares_of_what_is_not_kept_for_outcomes(used: int, level: Level) -> None:
    assert Quota(1000).level(used) == level


def test_a_refusal_says_how_full_and_what_to_do() -> None:
    assert "1,000 bytes" in Quota(1000).refusal(900)
    assert "store_limit" in Quota(1000).refusal(900)
