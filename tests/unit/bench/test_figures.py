from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.figures import Figure, Measure, Options, figures, percentile


@pytest.mark.parametrize(
    ("percent", "value"), [(1, 1), (50, 50), (99, 99), (100, 100)], ids=["first", "median", "p99", "last"]
)
def test_a_percentile_is_a_value_that_was_measured(percent: float, value: int) -> None:
    assert percentile(range(100, 0, -1), percent) == value


def test_a_percentile_of_few_values_is_the_worst_of_them() -> None:
    assert percentile([3.0, 1.0, 2.0], 99) == 3.0


def test_a_percentile_of_nothing_is_an_error_and_no_figure() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 99)


@pytest.mark.parametrize(
    ("better", "floor", "passes"),
    [("more", 2.0, True), ("more", 2.1, False), ("less", 2.0, True), ("less", 1.9, False), ("more", None, None)],
)
def test_the_median_is_what_a_floor_judges(better: str, floor: float | None, passes: bool | None) -> None:
    figure = Figure("bench.it", "it", "s", [100.0, 2.0, 0.0], better, floor)  # type: ignore[arg-type]
    assert figure.median == 2.0
    assert figure.passes is passes


def test_each_measure_becomes_a_figure_with_the_values_of_all_rounds() -> None:
    made = figures(
        "drain", [Measure("rate", "drain of {jobs:,}", "jobs/s")], [{"rate": 1.0}, {"rate": 3.0}], jobs=5_000
    )
    assert made == [Figure("drain.rate", "drain of 5,000", "jobs/s", [1.0, 3.0])]


def test_a_quick_look_does_a_tenth_of_the_work() -> None:
    assert Options(Path(), quick=True).of(50_000) == 5_000
    assert Options(Path()).of(50_000) == 50_000
