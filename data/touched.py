"""Which jobs a batch of events is about, so that their rows can be read at once before it is folded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from data.attempts import ENDS
from data.hauls import Portion
from engine.kernel import events as ev

_JOB_EVENTS = frozenset(
    {*ENDS, ev.JobStarted, ev.CancelRequested, ev.JobRetried, ev.JobDeleted, ev.JobProgressed, ev.JobLogged,
     ev.JobOutput}
)  # fmt: skip


def ids_touched(portions: Iterable[Portion]) -> tuple[list[str], list[str]]:
    """Ids that a batch enqueues, and those that it touches without."""
    enqueued: dict[str, None] = {}
    touched: dict[str, None] = {}
    for portion in portions:
        events: Iterable[Any] = portion.events  # each kind has its own fields
        for event in events:
            kind = type(event)
            if kind in _JOB_EVENTS:
                touched[event.id] = None
            elif kind is ev.JobEnqueued:
                enqueued[event.id] = None
            elif kind is ev.JobsClaimed:
                touched.update(dict.fromkeys(event.ids))
    return list(enqueued), [id for id in touched if id not in enqueued]
