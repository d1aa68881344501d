"""Shows figures to a person and keeps them for the next run: a plain table, a JSON file, a comparison of two files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from tests.bench.figures import Figure
from tests.bench.machine import Machine

VERSION = 1
Row = tuple[str, ...]


class Report(msgspec.Struct, frozen=True):
    """One run."""

    version: int
    #: ISO 8601
    at: str
    machine: Machine
    #: load of the machine before and after
    load: tuple[float, float]
    rounds: int
    quick: bool
    figures: list[Figure]

    @property
    def missed(self) -> list[Figure]:
        """Figures whose floor does not hold."""
        return [figure for figure in self.figures if figure.passes is False]


def table(figures: Sequence[Figure]) -> str:
    """Median, range, floor and verdict of each."""
    head = ("what", "median", "range", "", "floor", "")
    return aligned([head, *(_row(figure) for figure in figures)])


def _row(figure: Figure) -> Row:
    low, high = min(figure.values), max(figure.values)
    sign = "≥" if figure.better == "more" else "≤"
    floor = "" if figure.floor is None else f"{sign} {number(figure.floor)}"
    verdict = {None: "", True: "pass", False: "below" if figure.better == "more" else "above"}[figure.passes]
    spread = f"{number(low)} – {number(high)}" if len(figure.values) > 1 else ""
    return figure.text, number(figure.median), spread, figure.unit, floor, verdict


def comparison(old: Report, new: Report) -> str:
    """What changed from one run to the next; figures that only one of them has are left out."""
    before = {figure.name: figure for figure in old.figures}
    rows = [_change(before[figure.name], figure) for figure in new.figures if figure.name in before]
    return aligned([("what", f"{old.at[:16]}", f"{new.at[:16]}", "", "change", ""), *rows])


def _change(old: Figure, new: Figure) -> Row:
    share = (new.median - old.median) / old.median if old.median else 0.0
    word = "" if abs(share) < 0.05 else "better" if (share > 0) == (new.better == "more") else "worse"
    return new.text, number(old.median), number(new.median), new.unit, f"{share:+.0%}", word


def aligned(rows: Sequence[Row]) -> str:
    """Columns under each other: the first and the units to the left, numbers to the right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return "\n".join("  ".join(_cells(row, widths)).rstrip() for row in rows)


def _cells(row: Row, widths: Sequence[int]) -> Iterable[str]:
    for place, (text, width) in enumerate(zip(row, widths, strict=True)):
        yield text.ljust(width) if place in (0, 3, 5) else text.rjust(width)


def number(value: float) -> str:
    """Three digits that matter; thousands with a comma."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def write(path: Path, report: Report) -> None:
    """Keep a run."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")


def read(path: Path) -> Report:
    """A run that was kept.  Raises ``OSError`` or ``msgspec.DecodeError`` if it is none."""
    return msgspec.json.decode(path.read_bytes(), type=Report)
