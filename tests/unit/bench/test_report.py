from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.bench import machine, report
from tests.bench.figures import Figure

RATE = Figure("drain.rate", "drain", "jobs/s", [20_000.0, 30_000.0, 40_000.0], "more", 25_000)
LAG = Figure("drain.lag", "lag", "ms", [30.0], "less", 20)
INFORMS = Figure("drain.cpu", "processor time", "µs", [12.34])


def a_report(*figures: Figure) -> report.Report:
    return report.Report(1, "2025-01-31T08:00:00+00:00", machine.here(Path("/")), (0.1, 0.2), 3, False, list(figures))


def test_the_table_tells_median_range_floor_and_verdict_in_columns() -> None:
    lines = report.table([RATE, LAG, INFORMS]).splitlines()
    assert lines[1].split("  ")[0] == "drain"
    assert "30,000" in lines[1] and "20,000 – 40,000" in lines[1] and "≥ 25,000" in lines[1]
    assert lines[1].endswith("pass") and lines[2].endswith("above") and lines[3].endswith("µs")
    assert len({line.index(figure.unit) for line, figure in zip(lines[1:], (RATE, LAG, INFORMS), strict=True)}) == 1


def test_figures_whose_floor_does_not_hold_are_named() -> None:
    assert a_report(RATE, LAG, INFORMS).missed == [LAG]


def test_a_run_that_was_kept_is_read_back_as_it_was(tmp_path: Path) -> None:
    made = a_report(RATE, LAG)
    report.write(tmp_path / "bench.json", made)
    assert report.read(tmp_path / "bench.json") == made


def test_a_file_that_holds_no_figures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bench.json").write_text('{"version": 1}')
    with pytest.raises(msgspec.ValidationError):
        report.read(tmp_path / "bench.json")


@pytest.mark.parametrize(
    ("figure", "now", "word"),
    [
        (RATE, 33_000.0, "better"),
        (RATE, 27_000.0, "worse"),
        (LAG, 33.0, "worse"),
        (LAG, 27.0, "better"),
        (LAG, 30.5, ""),
    ],
)
def test_a_comparison_says_what_got_better_and_what_worse(figure: Figure, now: float, word: str) -> None:
    later = msgspec.structs.replace(figure, values=[now])
    line = report.comparison(a_report(figure), a_report(later, INFORMS)).splitlines()[-1]
    assert line.startswith(figure.text), "a figure that only one run has is left out"
    assert line.endswith(word) if word else line.endswith("%")


def test_the_machine_is_told_so_that_figures_can_be_judged() -> None:
    line = machine.here(Path("/")).line()
    assert "cores" in line and "SQLite" in line and "huey 3.5" in line


def test_the_file_system_is_that_of_the_longest_mount() -> None:
    assert machine.inside("/mnt/disk/x", "/mnt/disk") and machine.inside("/mnt/disk", "/")
    assert not machine.inside("/mnt/disks", "/mnt/disk")
