"""What operator commands print: tables that fit, JSON, and nothing that could drive a terminal."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.cli import tables


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@given(st.text())
def test_no_text_of_a_job_can_drive_the_terminal(text: str) -> None:
    shown = tables.plain(text)
    assert shown.isprintable()
    assert len(shown) == len(text)


def test_an_escape_sequence_in_a_name_is_printed_without_its_escape(capsys: pytest.CaptureFixture[str]) -> None:
    tables.print_table([{"task": "evil\x1b[2J\nname\u202e"}], ["task"], "")
    assert capsys.readouterr().out == "TASK\nevil [2J name\n"


def test_a_table_without_rows_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    tables.print_table([], ["id"], "no job matches")
    assert capsys.readouterr().out == "no job matches\n"


def test_columns_line_up_and_missing_values_are_blank(capsys: pytest.CaptureFixture[str]) -> None:
    tables.print_table([{"id": "1", "rate_limit": None}, {"id": "22", "rate_limit": "5/s"}], ["id", "rate_limit"], "")
    assert capsys.readouterr().out.splitlines() == ["ID  RATE LIMIT", "1", "22  5/s"]


def test_on_a_terminal_the_widest_column_is_cut_and_states_are_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    tables.print_table([{"state": "dead", "error": "x" * 200}], ["state", "error"], "")
    line = terminal.getvalue().splitlines()[1]
    assert line.startswith("\x1b[31mdead \x1b[0m")
    assert line.endswith("x…")
    assert len(line) <= 40 + len("\x1b[31m\x1b[0m")


def test_colours_are_left_out_where_they_are_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert tables.paint("dead") == "dead"
