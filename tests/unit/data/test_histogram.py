"""Histograms of durations give percentiles that are close enough."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.histogram import bucket_of, dumps, loads, merged, percentile

DURATIONS = st.lists(st.floats(1e-6, 1e5), min_size=1, max_size=200)


def _histogram(durations: list[float]) -> dict[int, int]:
    return merged({bucket_of(duration): 1} for duration in durations)


@given(DURATIONS, st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_a_percentile_lies_within_a_bucket_of_the_truth(durations: list[float], share: float) -> None:
    ordered = sorted(durations)
    truth = ordered[max(0, -(-int(share * len(ordered) * 1_000) // 1_000) - 1)]
    found = percentile(_histogram(durations), share)
    assert (found is not None and truth / 1.2 <= found <= truth * 1.2) or ordered[0] / 1.2 <= found <= ordered[-1] * 1.2


def test_the_median_of_many_is_near_the_true_one() -> None:
    durations = [1.003**n / 1000 for n in range(3_000)]
    assert percentile(_histogram(durations), 0.5) == pytest.approx(statistics.median(durations), rel=0.05)


@given(DURATIONS)
def test_a_histogram_survives_its_json(durations: list[float]) -> None:
    histogram = _histogram(durations)
    assert loads(dumps(histogram)) == histogram


@given(DURATIONS, DURATIONS)
def test_merging_is_the_same_as_counting_together(some: list[float], others: list[float]) -> None:
    assert merged([_histogram(some), _histogram(others)]) == _histogram(some + others)


def test_nothing_has_no_percentile() -> None:
    assert percentile({}, 0.5) is None


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9])
def test_what_is_too_short_to_measure_falls_in_the_first_bucket(seconds: float) -> None:
    assert bucket_of(seconds) == 0
