"""What msgspec says of wrong data, in our words: a ``ValidationError`` that names the field."""

from __future__ import annotations

import re

from engine.kernel.errors import ValidationError

_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$?\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_NAMED = re.compile(r"(?:required|unknown) field `([^`]*)`")


def of(text: str) -> ValidationError:
    """``Expected `int`, got `str` - at `$.delay``` as ``delay: expected int, got str``."""
    found = _WHERE.match(text)
    what, path = (found["what"], found["path"] or "") if found else (text, "")
    named = _NAMED.search(what)
    if named:
        path = f"{path}.{named[1]}".lstrip(".")
    what = what.replace("`", "")
    return ValidationError(f"{path}: {what[:1].lower()}{what[1:]}" if path else what, path)
