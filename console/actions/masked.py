"""Filling masked arguments in again when a job is run once more.

People edit what they see, and secrets are masked there.  A mask that they left alone stands for the value of the original
job; where the engine has that job no more, nobody knows the value and the actor is asked for it.
"""

from __future__ import annotations

from typing import Any

from data.masking import MASK
from engine.kernel.errors import Conflict
from engine.kernel.job import JobView
from engine.queue.codec import decode


def unmask(args: Any, view: JobView | None) -> Any:
    """``args`` with masks replaced by what the live job has there.  Raises ``Conflict`` where it has nothing."""
    original = decode(view.payload).args if view is not None and view.payload else {}
    return _filled(args, original, "args")


def _filled(value: Any, original: Any, path: str) -> Any:
    if isinstance(value, dict):
        known = original if isinstance(original, dict) else {}
        return {key: _filled(item, known.get(key), f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        known_items = original if isinstance(original, list) else []
        padded = [*known_items, *[None] * len(value)]
        return [
            _filled(item, known, f"{path}[{n}]") for n, (item, known) in enumerate(zip(value, padded, strict=False))
        ]
    if not isinstance(value, str) or MASK not in value:
        return value
    if original is None:
        raise Conflict(f"{path} was masked in the history and its value is not known any more; give it anew")
    return original
