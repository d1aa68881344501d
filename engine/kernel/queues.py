"""The preset queues, and what may be set for a queue in the configuration.

Pure data and validation; the engine turns the tables into queues.
"""

from __future__ import annotations

import difflib
import json
from typing import Any

from engine.kernel import values
from engine.kernel.errors import ValidationError
from engine.kernel.job import check_name
from engine.kernel.values import Parser

#: what keeps a job of a queue
DURABILITIES = ("power", "process", "redis")
#: who takes back the jobs that a cut-off node holds: anyone at the deadline, or only that node or an operator
RECLAIMS = ("deadline", "hold")
#: whether a node that is cut off runs the jobs that it accepted meanwhile
AIRGAPS = ("run", "wait")

#: name -> what is set for it.  ``priority`` says which queue goes first when slots are scarce, 1 (first) to 10
PRESETS: dict[str, dict[str, Any]] = {
    "critical": {"priority": 1},
    "payments": {"priority": 2, "concurrency": 4, "reclaim": "hold"},
    "usb-events": {"priority": 2},
    "emails": {"priority": 4, "concurrency": 10},
    "webhooks": {"priority": 4, "concurrency": 10},
    "default": {"priority": 5},
    "scheduled": {"priority": 5},
    "documents": {"priority": 5, "concurrency": 4},
    "integrations": {"priority": 6, "concurrency": 4},
    "plugin-jobs": {"priority": 6, "concurrency": 4},
    "ai": {"priority": 6, "concurrency": 2},
    "reports": {"priority": 7, "concurrency": 2},
    "llm-batch": {"priority": 8, "concurrency": 2},
    "maintenance": {"priority": 9, "concurrency": 1},
}


def number(least: float, most: float) -> Parser:
    """A number between two bounds."""

    def parse(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise values.wrong(f"a number from {least:g} to {most:g}", value)
        return value

    return parse


def table(parsers: dict[str, Parser], what: str) -> Parser:
    """A table of which only some keys exist; every value is parsed."""

    def parse(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise values.wrong("a table", value)
        return {key: _entry(parsers, what, key, item) for key, item in value.items()}

    return parse


def _entry(parsers: dict[str, Parser], what: str, key: str, item: Any) -> Any:
    if key not in parsers:
        near = difflib.get_close_matches(key, parsers, 1)
        meant = f"did you mean {near[0]}?" if near else f"known are {', '.join(parsers)}"
        raise ValueError(f"{what} has no setting {key!r:.40}; {meant}")
    try:
        return parsers[key](item)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


RETRY: dict[str, Parser] = {
    "initial": number(0, 86_400),
    "maximum": number(0, 604_800),
    "multiplier": number(1, 100),
    "jitter": values.boolean,
}

QUEUE: dict[str, Parser] = {
    "priority": values.integer(1, 10),
    "concurrency": values.optional(values.integer(1, 100_000)),
    "rate_limit": values.optional(values.rate),
    "retry": table(RETRY, "retry"),
    "retention": values.seconds(0, 3650 * 86_400),
    "durability": values.optional(values.choice(*DURABILITIES)),
    "reclaim": values.choice(*RECLAIMS),
    "airgap": values.choice(*AIRGAPS),
}

#: key -> what it means, for the configuration page
QUEUE_MEANING = {
    "priority": "Which queue goes first when slots are scarce, 1 (first) to 10; default 5.",
    "concurrency": "Most jobs of the queue that run at the same time.",
    "rate_limit": "Most jobs begun in a span of time, as in `5/s`, `100/m`, `1000/15m`.",
    "retry": "Backoff of its jobs where the task names none: `initial`, `maximum` (seconds), `multiplier`, `jitter`.",
    "retention": "How long its ended jobs stay in the history, as in `7d`.",
    "durability": "`power`, `process` or `redis`, as the setting of that name, for this queue only; at most what the store "
    "gives.",
    "reclaim": "Who takes back the jobs of a node that is cut off: `deadline` (default) lets others run them when their "
    "lease is over, `hold` only lets the node itself or an operator, for jobs that must not run twice.",
    "airgap": "Whether jobs accepted while cut off `run` here (default) or `wait` for the link.",
}


def queue_tables(value: Any) -> dict[str, dict[str, Any]]:
    """Presets with the given tables laid over them; text is read as JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value or "{}")
        except ValueError:
            raise values.wrong("JSON such as {…}", value) from None
    if not isinstance(value, dict):
        raise values.wrong("a table of queues", value)
    given = {name: _queue(name, entry) for name, entry in value.items()}
    return {name: PRESETS.get(name, {}) | given.get(name, {}) for name in {**PRESETS, **given}}


def _queue(name: str, entry: Any) -> dict[str, Any]:
    try:
        check_name(name, "name of a queue")
        parsed: dict[str, Any] = table(QUEUE, "a queue")(entry)
    except (ValueError, ValidationError) as error:
        raise ValueError(f"{name}: {error}") from None
    return parsed
