"""A package's public names, each imported when it is first asked for (PEP 562), so that a process that needs one room does
not pay for the others."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def door(package: str, rooms: Mapping[str, Iterable[str]]) -> Callable[[str], Any]:
    """The ``__getattr__`` of ``package``; ``rooms`` says which module has which names."""
    room_of = {name: room for room, names in rooms.items() for name in names}

    def find(name: str) -> Any:
        if name not in room_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(room_of[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return find
