"""The Lua scripts, put together from their pieces: ``lib.lua`` first, what a script builds on, then the script itself."""

from __future__ import annotations

import functools
from importlib import resources

from engine.storage.redis.client import Script

#: script -> the pieces between ``lib`` and itself
PIECES: dict[str, tuple[str, ...]] = {
    "put": ("order",),
    "claim": ("order", "timers", "claiming"),
    "finish": ("order", "leaving", "ends", "timers", "claiming"),
    "promote": ("order", "leaving", "ends", "timers"),
    "cancel": ("order", "leaving", "ends"),
    "retry": ("order", "leaving", "ends"),
    "delete": ("order", "leaving", "ends"),
    "peek": ("order", "timers"),
    "look": ("order", "timers"),
    "apply": ("order", "leaving", "known", "outcomes", "arrivals", "fold", "write"),
    "free_owned": ("order", "leaving", "known", "outcomes", "arrivals", "fold", "write"),
}


@functools.cache
def script(name: str, *pieces: str) -> Script:
    """The script of that name over ``lib`` and its pieces; ``pieces`` for one that the table above does not have."""
    parts = ("lib", *(pieces or PIECES.get(name, ())), name)
    return Script.of(name, "\n".join(source(part) for part in parts))


def source(name: str) -> str:
    """The text of one file."""
    return resources.files("engine.storage.redis").joinpath("lua", f"{name}.lua").read_text("utf-8")
