"""How the console looks, in one place: the head of every page, state names for styles, and figures as words.

Colours, sizes and themes are CSS in ``static/``; icons are symbols of ``static/icons.svg``.  Pages and components use the
class names and functions from here and carry no colour of their own.  Nothing is fetched from another host: the letters
are Roboto as NiceGUI ships it, declared with its whole range of weights.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import nicegui
from nicegui import ui
from nicegui.element import Element

STATIC = Path(__file__).parent / "static"
SHEETS = ("holdfast.css", "shell.css", "overview.css", "jobs.css", "agents.css", "air_gap.css")

#: states in the order of the chips above the jobs table, and what they are called there
CHIPS = (
    ("running", "Running"),
    ("available", "Waiting"),
    ("scheduled", "Scheduled"),
    ("retryable", "Retrying"),
    ("dead", "Dead"),
    ("completed", "Completed"),
    ("cancelled", "Cancelled"),
)


def head() -> str:
    """What stands in the ``<head>`` of every page."""
    sheets = "".join(f'<link rel="stylesheet" href="{_versioned(name)}">' for name in SHEETS)
    return f'<style>{_font_faces()}</style>{sheets}<script src="{_versioned("theme.js")}"></script>'


def _versioned(name: str) -> str:
    """The address of a static file, with a mark that changes when it does."""
    return f"/static/{name}?v={hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:8]}"


def _font_faces() -> str:
    """NiceGUI declares its variable Roboto once per weight; one face over the whole range also draws the weights between."""
    folder = f"/_nicegui/{nicegui.__version__}/static/"
    css = (Path(nicegui.__file__).parent / "static" / "fonts.css").read_text("utf-8")
    faces = [face for face in re.findall(r"@font-face \{[^}]*\}", css) if '"Roboto"' in face and "weight: 400" in face]
    joined = "".join(faces).replace('"Roboto"', '"Holdfast Sans"').replace("weight: 400", "weight: 100 900")
    return re.sub(r"\s+", " ", joined.replace("url(fonts/", f"url({folder}fonts/"))


def icon(name: str) -> Element:
    """An icon of ``static/icons.svg`` in the colour of its text."""
    with Element("svg").classes("i").props("aria-hidden=true") as svg:
        Element("use").props(f"href=/static/icons.svg#{name}")
    return svg


def text(content: str = "", tag: str = "span", classes: str = "") -> ui.element:
    """An element with plain text: never read as HTML."""
    return _Text(tag, content).classes(classes)


class _Text(ui.element):
    def __init__(self, tag: str, content: str) -> None:
        super().__init__(tag)
        self._text = content

    def say(self, content: str) -> None:
        """Change the text, and send it only if it is another."""
        if content != self._text:
            self._text = content
            self.update()


def size(octets: float) -> str:
    """Bytes as people read them: ``212 MB``."""
    units = ("B", "kB", "MB", "GB", "TB")
    step = 0
    while octets >= 1000 and step < len(units) - 1:
        octets, step = octets / 1000, step + 1
    return f"{octets:.1f} {units[step]}" if step and octets < 10 else f"{octets:.0f} {units[step]}"


def span(seconds: float) -> str:
    """A time since something, in its two largest units: ``14 d 3 h``."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return f"{max(0, int(seconds))} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 1440:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def took(seconds: float) -> tuple[str, str]:
    """A run time and its unit: ``("4.2", "s")``."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}" if seconds >= 0.01 else f"{seconds * 1000:.1f}", "ms"
    if seconds < 90:
        return f"{seconds:.1f}" if seconds < 9.95 else f"{seconds:.0f}", "s"
    return (f"{seconds / 60:.0f}", "min") if seconds < 5400 else (f"{seconds / 3600:.1f}", "h")
