"""Prints rows for people, and JSON for programs.

Colours only where a person looks (a terminal, and ``NO_COLOR`` is not set).  Text that came with a job is printed without
control characters: a hostile name must not drive the terminal.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

COLOURS = {
    "completed": 32, "running": 36, "available": 34, "scheduled": 34, "pending": 34, "retryable": 33,
    "dead": 31, "cancelled": 90, "paused": 33, "ok": 32, "warning": 33, "error": 31,
}  # fmt: skip
#: least width that a column is cut to
LEAST = 8


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2)
    print()


def colourful(stream: TextIO) -> bool:
    """Whether a person with a colour terminal reads the stream."""
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def plain(value: Any) -> str:
    """Text in one line that cannot drive a terminal."""
    text = "" if value is None else str(value)
    return "".join(character if character.isprintable() else " " for character in text)


def paint(text: str, word: str = "", stream: TextIO | None = None) -> str:
    """The text in the colour of ``word`` (default: the text itself)."""
    colour = COLOURS.get((word or text).strip())
    return f"\x1b[{colour}m{text}\x1b[0m" if colour and colourful(stream or sys.stdout) else text


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], empty: str) -> None:
    """Rows under headings; the widest columns are cut until a line fits the terminal."""
    if not rows:
        print(empty)
        return
    cells = [[plain(row.get(column)) for column in columns] for row in rows]
    widths = fit([max(len(row[i]) for row in [list(columns), *cells]) for i in range(len(columns))])
    print(
        "  ".join(
            name.upper().replace("_", " ").ljust(width) for name, width in zip(columns, widths, strict=True)
        ).rstrip()
    )
    for row in cells:
        print("  ".join(paint(cut(cell, width).ljust(width)) for cell, width in zip(row, widths, strict=True)).rstrip())


def fit(widths: list[int]) -> list[int]:
    """Widths that fit the terminal; where nobody looks nothing is cut."""
    if not sys.stdout.isatty():
        return widths
    room = shutil.get_terminal_size().columns - 2 * (len(widths) - 1)
    while sum(widths) > room and max(widths) > LEAST:
        widths[widths.index(max(widths))] -= 1
    return widths


def cut(text: str, width: int) -> str:
    """The text, ended with an ellipsis if it is too long."""
    return text if len(text) <= width else text[: width - 1] + "…"
