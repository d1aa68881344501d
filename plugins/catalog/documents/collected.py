"""What the formats have in common: collecting text within limits, and telling how far they are.

Words and characters are counted for the whole document, text is kept only up to the limit.  What leaves here is text
that JSON and every database take: no NUL, no other control characters, no half surrogate pairs.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Any

WARNINGS = 10
_UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_SPACES = re.compile(r"[^\S\n]+")
_LINES = re.compile(r" ?\n ?(?:\n ?)+")
Report = Callable[[float, str], None]


class Document:
    """What is known of one document while it is read."""

    def __init__(self, request: dict[str, Any], report: Report) -> None:
        self.facts: dict[str, Any] = {"title": None, "author": None, "created": None, "language": None, "pages": None}
        self.warnings: list[str] = []
        self.words = 0
        self.characters = 0
        self._text: list[str] = []
        self._room = int(request["max_characters"])
        self._bytes = int(request["max_text_bytes"])
        self._truncated = False
        self._report = report
        self._told = 0.0

    def add(self, text: str) -> None:
        """Count a piece of text that ends at a boundary of words, and keep what has room."""
        text = _UNWANTED.sub("", text)
        self.words += len(text.split())
        self.characters += len(text)
        kept = _fitting(text[: self._room], self._bytes)
        self._truncated = self._truncated or len(kept) < len(text)
        if kept:
            self._text.append(kept)
            self._room -= len(kept)
            self._bytes -= _weight(kept)

    def tell(self, **facts: Any) -> None:
        """Note metadata; the first that says something counts."""
        for name, value in facts.items():
            known = clean(value) if isinstance(value, str) else value if isinstance(value, int) else None
            if known and not self.facts[name]:
                self.facts[name] = known

    def warn(self, text: str) -> None:
        """Note what a reader of the result should know; a few, each once."""
        text = _UNWANTED.sub("", text)[:200]
        if len(self.warnings) < WARNINGS and text not in self.warnings:
            self.warnings.append(text)

    def progress(self, share: float, message: str = "") -> None:
        """Tell how far reading is, in steps of a hundredth."""
        if share - self._told >= 0.01:
            self._told = share
            self._report(round(min(share, 0.99), 3), message)

    def result(self, kind: str, sha256: str) -> dict[str, Any]:
        """The task's result."""
        if not self.characters:
            self.warn("the document holds no text; it may be made of pictures")
        counted = {"words": self.words, "characters": self.characters, "truncated": self._truncated}
        end = {"text": "".join(self._text), "sha256": sha256, "warnings": self.warnings}
        return {"format": kind, **self.facts, **counted, **end}


def _weight(text: str) -> int:
    """Bytes of ``text`` inside JSON in UTF-8."""
    return (
        len(text.encode()) + text.count("\n") + text.count('"') + text.count("\\") + text.count("\t") + text.count("\r")
    )


def _fitting(text: str, room: int) -> str:
    """The longest beginning of ``text`` that weighs no more than ``room``, found by halving."""
    if _weight(text) <= room:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _weight(text[:middle]) <= room else (low, middle - 1)
    return text[:low]


def clean(text: str, most: int = 300) -> str:
    """One line of metadata."""
    return " ".join(_UNWANTED.sub("", text).split())[:most]


def said(error: BaseException) -> str:
    """What an error says, in one short line."""
    return clean(str(error), 200) or type(error).__name__


def paragraphs(text: str) -> str:
    """Text with single spaces and at most one empty line between paragraphs."""
    return _LINES.sub("\n\n", _SPACES.sub(" ", text))


def moment(text: str | None) -> str | None:
    """An ISO date or time as ISO 8601, in UTC when it has a zone; ``None`` for what is none."""
    try:
        at = datetime.datetime.fromisoformat((text or "").strip())
    except ValueError:
        return None
    return iso(at)


def iso(at: datetime.datetime) -> str | None:
    """ISO 8601, in UTC when the time has a zone."""
    try:
        if at.tzinfo is None:
            return at.isoformat(timespec="seconds")
        return at.astimezone(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, ValueError):
        return None
