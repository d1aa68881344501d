"""The jobs of a filter as a file: CSV for a spreadsheet, JSON for a program."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator

import msgspec
from nicegui import ui

from console import reading
from console.context import Console
from console.pages.job_rows import Question
from console.pages.screen import Screen
from console.pages.shell import button
from console.reading import Job
from engine.kernel.errors import ValidationError

#: jobs that one file holds at most
MOST = 20_000
BATCH = 500
COLUMNS = ("id", "task", "queue", "state", "priority", "tenant", "created_at", "started_at", "finished_at")


def export_button(screen: Screen, question: Callable[[], Question]) -> None:
    """A button with the two kinds."""
    with button("Export", "download"), ui.menu().classes("menu"):
        ui.menu_item("CSV", lambda: _export(screen, question().filter, "csv"))
        ui.menu_item("JSON", lambda: _export(screen, question().filter, "json"))


async def _export(screen: Screen, query: str, kind: str) -> None:
    try:
        content, number = await screen.read(lambda: exported(screen.console, query, kind))
    except ValidationError as error:
        screen.toast(str(error), bad=True)
        return
    with screen.client:
        ui.download.content(content, f"jobs.{kind}", "text/csv" if kind == "csv" else "application/json")
    cut = f"; the newest {MOST:,}, narrow the filter for others" if number >= MOST else ""
    screen.toast(f"{number:,} jobs exported{cut}")


def exported(console: Console, query: str, kind: str) -> tuple[bytes, int]:
    """The file, and how many jobs are in it."""
    jobs = list(_all(console, query))
    if kind == "json":
        return msgspec.json.format(msgspec.json.encode([reading.as_json(job) for job in jobs]), indent=2), len(jobs)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow((*COLUMNS, "attempt", "max_attempts", "error_type", "error_message"))
    for job in jobs:
        shown = reading.as_json(job)
        error = job.error
        values = [shown.get(name) for name in COLUMNS]
        writer.writerow(
            [
                _cell(value)
                for value in (*values, job.attempt, job.max_attempts, error and error.type, error and error.message)
            ]
        )
    return out.getvalue().encode("utf-8-sig"), len(jobs)


def _all(console: Console, query: str) -> Iterator[Job]:
    cursor: str | None = None
    for _ in range(MOST // BATCH):
        page = reading.jobs(console, query, limit=BATCH, cursor=cursor)
        yield from page.jobs
        cursor = page.next_cursor
        if cursor is None:
            return


def _cell(value: object) -> object:
    """A value that a spreadsheet does not take for a formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value
