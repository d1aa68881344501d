"""The fleet's scripts for Redis, one file for each in ``lua/``, and the tag under which a fleet's keys stand."""

from __future__ import annotations

import functools
from pathlib import Path

from engine.storage.redis.client import Script

_FOLDER = Path(__file__).with_name("lua")


@functools.cache
def script(name: str) -> Script:
    """The script of that name."""
    return Script.of(name, (_FOLDER / f"{name}.lua").read_text("utf-8"))


def tag_of(fleet: str) -> str:
    """What the keys of a fleet begin with."""
    return f"{{hf:{fleet}}}:"
