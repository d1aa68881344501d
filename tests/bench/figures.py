"""What a bench gives: figures with their rounds, and the options under which they were measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

Better = Literal["more", "less"]


class Options(msgspec.Struct, frozen=True):
    """How to measure."""

    #: where homes are made, on the disk that is to be measured
    folder: Path
    rounds: int = 5
    #: a look rather than a measurement: a tenth of the work
    quick: bool = False
    #: names of the peers to run beside
    peers: tuple[str, ...] = ("huey",)

    def of(self, full: int) -> int:
        """``full`` jobs, or a tenth of them for a quick look."""
        return full // 10 if self.quick else full


class Figure(msgspec.Struct, frozen=True):
    """One thing measured, with the value of each round."""

    #: ``bench.what``, the same in every run
    name: str
    text: str
    unit: str
    values: list[float]
    better: Better = "more"
    #: what the median must reach, or stay below; ``None`` for figures that only inform
    floor: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def passes(self) -> bool | None:
        """Whether the floor holds; ``None`` without one."""
        if self.floor is None:
            return None
        return self.median >= self.floor if self.better == "more" else self.median <= self.floor


class Measure(msgspec.Struct, frozen=True):
    """A figure to be taken out of the answers of all rounds by its ``key``."""

    key: str
    text: str
    unit: str
    better: Better = "more"
    floor: float | None = None


def figures(
    bench: str, measures: Iterable[Measure], answers: Sequence[Mapping[str, float]], **sizes: int
) -> list[Figure]:
    """One figure for each measure, its values in the order of the rounds; ``sizes`` are filled into the texts."""
    return [
        Figure(
            f"{bench}.{m.key}", m.text.format(**sizes), m.unit, [answer[m.key] for answer in answers], m.better, m.floor
        )
        for m in measures
    ]


def percentile(values: Iterable[float], percent: float) -> float:
    """The smallest value that ``percent`` of all values don't exceed."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values were measured")
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
