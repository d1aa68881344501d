"""The child's side of ``plugins.child``: bind itself by limits, do the work, answer in JSON lines.

Runs as ``python -m plugins.child_main module:function LIMITS REQUEST`` with the source as standard input.  Imports
nothing of the engine.  What a parser prints goes to standard error, so that it can't be taken for an answer.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import sys
import threading
from collections.abc import Callable
from typing import Any


class Refused(Exception):
    """Raised by the work: this input can never be read; the text says why."""


def main(function: str, limits: str, request: str) -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    source = os.fdopen(os.dup(0), "rb")

    def say(kind: str, value: Any) -> None:
        answers.write(json.dumps({kind: value}, ensure_ascii=True) + "\n")
        answers.flush()

    module, _, name = function.partition(":")
    work = getattr(importlib.import_module(module), name)
    bound = json.loads(limits)
    bind(bound)
    _die_with_parent(answers.fileno())
    say(*outcome(lambda: work(json.loads(request), source, lambda *step: say("progress", step)), bound))


def _die_with_parent(answers: int) -> None:
    """End as soon as nobody reads the answers any more, however the parent ended."""
    if not hasattr(select, "poll"):
        return
    watched = select.poll()
    watched.register(answers, 0)

    def watch() -> None:
        watched.poll()
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def outcome(work: Callable[[], Any], limits: dict[str, int]) -> tuple[str, Any]:
    """What to answer: the result, or why there is none and never will be."""
    try:
        return "result", work()
    except Refused as refusal:
        return "refused", str(refusal)
    except MemoryError:
        return "refused", f"the document needs more than {limits['memory_mb']} MB of memory to read"
    except RecursionError:
        return "refused", "the document is nested too deeply to read"


def bind(limits: dict[str, int]) -> None:
    """Take on limits that can't be taken off again; where the system has none, the time limit of the parent holds."""
    try:
        import resource
    except ImportError:
        return
    cpu, memory = limits["cpu_seconds"], limits["memory_mb"] * 2**20
    for what, soft, hard in (
        (resource.RLIMIT_CPU, cpu, cpu + 5),
        (resource.RLIMIT_AS, memory, memory),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, 64, 64),
    ):
        resource.setrlimit(what, (soft, hard))


if __name__ == "__main__":
    from plugins.child_main import main as run  # under its own name, so that Refused is one class

    run(*sys.argv[1:])
