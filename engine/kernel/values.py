"""Turns what people write in settings into values: numbers, spans of time, sizes, choices, paths, addresses, secrets.

A parser takes text (from a flag or the environment), a TOML value, or a value that is already right, and gives the value
or raises ``ValueError`` with "expected …, got …".  Parsing is idempotent: ``parse(parse(x)) == parse(x)``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Parser = Callable[[Any], Any]

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
BYTES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
BYTES |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}

_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*\Z")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*|[A-Za-z0-9](?:[A-Za-z0-9._\-]*[A-Za-z0-9])?)\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,99}\Z")
_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*\Z")
_RATE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*(\d*)\s*(s|m|h|d)\s*\Z")


class Secret(str):
    """Text that hides itself: ``repr``, ``str`` and formatting show dots.  ``reveal`` gives the text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(…)"

    def __str__(self) -> str:
        return "…"

    def __format__(self, spec: str) -> str:
        return format("…", spec)

    def reveal(self) -> str:
        """The text itself, for the one place that needs it."""
        return str.__getitem__(self, slice(None))


def shape(value: object) -> str:
    """What was given, short enough for one line and without what a secret would give away."""
    return "a hidden value" if isinstance(value, Secret) else f"{value!r:.60}"


def wrong(expected: str, value: object) -> ValueError:
    """The error of every parser."""
    return ValueError(f"expected {expected}, got {shape(value)}")


def text(value: Any) -> str:
    """Any text without control characters."""
    if not isinstance(value, str) or not value.isprintable():
        raise wrong("text in one line", value)
    return value.strip()


def secret(value: Any) -> Secret | None:
    """Text that is not shown again; empty is none."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError("expected text")
    if not value.strip():
        return None
    return value if isinstance(value, Secret) else Secret(value.strip())


def boolean(value: Any) -> bool:
    """true or false in the usual spellings."""
    if isinstance(value, bool):
        return value
    spelled = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if isinstance(value, str) and value.strip().lower() in spelled:
        return spelled[value.strip().lower()]
    raise wrong("true or false", value)


def integer(least: int, most: int) -> Parser:
    """A whole number between two bounds."""

    def parse(value: Any) -> int:
        expected = f"a whole number from {least:,} to {most:,}"
        number = int(value) if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,15}\s*", value) else value
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            raise wrong(expected, value)
        return number

    return parse


def _amount(value: Any, units: dict[str, Any], expected: str) -> float:
    if isinstance(value, str) and (found := _AMOUNT.match(value)):
        number, unit = found.groups()
        if unit.lower() in units:
            return float(number) * float(units[unit.lower()])
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise wrong(expected, value)


def seconds(least: float, most: float) -> Parser:
    """A span of time: seconds as a number, or with a unit as in ``90s``, ``15m``, ``2h``, ``7d``."""

    def parse(value: Any) -> float:
        expected = f"a time from {least:g} s to {most / 86_400:g} days, such as 90s, 15m, 2h or 7d"
        span = _amount(value, SECONDS | {"": 1.0}, expected)
        if not least <= span <= most:
            raise wrong(expected, value)
        return span

    return parse


def size(least: int, most: int) -> Parser:
    """A number of bytes, or with a unit as in ``64KiB``, ``500MB``, ``4GiB``."""

    def parse(value: Any) -> int:
        expected = f"a size from {least:,} to {most:,} bytes, such as 500MB or 4GiB"
        amount = _amount(value, BYTES, expected)
        if not least <= amount <= most:
            raise wrong(expected, value)
        return int(amount)

    return parse


def choice(*names: str) -> Parser:
    """One of some words."""

    def parse(value: Any) -> str:
        if not isinstance(value, str) or value.strip().lower() not in names:
            raise wrong(f"one of {', '.join(names)}", value)
        return value.strip().lower()

    return parse


def path(value: Any) -> Path:
    """A path, with ``~`` for the home folder, made absolute."""
    if isinstance(value, Path) or (isinstance(value, str) and value.strip() and "\0" not in value):
        return Path(os.path.expanduser(value)).absolute()
    raise wrong("a path", value)


def optional(parser: Parser) -> Parser:
    """None and empty text are none; anything else is for the parser."""
    return lambda value: None if value is None or value == "" else parser(value)


def address(value: Any) -> str:
    """A host name or an IP address to listen on or to answer to."""
    if not isinstance(value, str) or not _HOST.match(value.strip()) or len(value) > 255:
        raise wrong("a host name or an IP address", value)
    return value.strip().strip("[]")


def module(value: Any) -> str:
    """A dotted Python module name."""
    if not isinstance(value, str) or not _MODULE.match(value.strip()):
        raise wrong("a Python module name", value)
    return value.strip()


def name(value: Any) -> str:
    """A name of a queue, tenant, capability, agent or fleet."""
    if not isinstance(value, str) or not _NAME.match(value.strip()):
        raise wrong("1 to 100 letters, digits, dots, dashes or underscores", value)
    return value.strip()


def several(parser: Parser) -> Parser:
    """A list, or text with commas; the empty text is an empty list."""

    def parse(value: Any) -> tuple[Any, ...]:
        items: Iterable[Any] = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            raise wrong("a list", value)
        return tuple(parser(item) for item in items if not isinstance(item, str) or item.strip())

    return parse


def url(*schemes: str) -> Parser:
    """A URL of one of some schemes, or nothing."""

    def parse(value: Any) -> str:
        if value is None or value == "":
            return ""
        expected = f"expected a URL that begins with {' or '.join(s + '://' for s in schemes)}"
        if not isinstance(value, str) or urlsplit(value.strip()).scheme not in schemes or "://" not in value:
            raise ValueError(f"{expected}; what was given is not shown, it may hold a password")
        return value.strip()

    return parse


def rate(value: Any) -> str:
    """A rate such as ``100/m``, ``5/s`` or ``1000/15m``."""
    if not isinstance(value, str) or not (found := _RATE.match(value)) or float(found[1]) <= 0 or found[2] == "0":
        raise wrong("a rate such as 5/s, 100/m or 1000/15m", value)
    return re.sub(r"\s+", "", value)
