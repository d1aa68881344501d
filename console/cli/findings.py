"""Lines of a report on the state of things: ``ok``, ``warning`` or ``error``; the last two carry the mend."""

from __future__ import annotations

from typing import NamedTuple

from console.cli.tables import paint


class Finding(NamedTuple):
    """One line of the report."""

    level: str
    what: str
    text: str
    mend: str = ""


def ok(what: str, text: str) -> Finding:
    return Finding("ok", what, text)


def warning(what: str, text: str, mend: str) -> Finding:
    return Finding("warning", what, text, mend)


def error(what: str, text: str, mend: str) -> Finding:
    return Finding("error", what, text, mend)


def line_of(finding: Finding) -> str:
    """A finding for a person."""
    mend = f"; {finding.mend}" if finding.mend else ""
    return f"{paint(f'{finding.level:8}')} {finding.what:14} {finding.text}{mend}"
