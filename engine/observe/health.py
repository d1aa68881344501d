"""What needs a person's attention, as a pure function of figures that somebody else gathered.

``needs_attention`` has no memory and no clock: the same ``Figures`` give the same list, worst first.  Where a matter
began is carried by the figures (``since``).  Links are paths of the console, with filters as its pages take them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal
from urllib.parse import quote

import msgspec

Level = Literal["error", "warning", "info"]
_ORDER = {"error": 0, "warning": 1, "info": 2}

#: seconds that an available job may wait before it is worth a word
SLOW_WAIT = 60.0
#: seconds that history may be behind the log
SLOW_RECORDER = 10.0
#: shares of the store's limit
STORE_WARNING, STORE_ERROR = 0.7, 0.9


class Attention(msgspec.Struct, frozen=True):
    """One matter, in words for an operator."""

    level: Level
    title: str
    text: str
    #: path in the console that shows it
    link: str = ""
    #: wall time it began, 0 if not known
    since: float = 0.0
    #: what a person may do about it right there; "" for nothing
    action: str = ""


class QueueFigures(msgspec.Struct, frozen=True):
    name: str
    paused: bool
    #: jobs that could start if somebody took them
    waiting: int
    #: seconds that the oldest of them waits
    oldest_wait: float = 0.0
    #: tasks of waiting jobs that nobody here has registered
    unknown_tasks: tuple[str, ...] = ()


class Figures(msgspec.Struct, frozen=True):
    """All that the rules look at."""

    queues: tuple[QueueFigures, ...] = ()
    #: dead letters, and those that died in the last hour
    dead: int = 0
    dead_lately: int = 0
    dead_since: float = 0.0
    store_used: int = 0
    store_limit: int = 0
    #: entries set aside that nobody has acknowledged
    quarantined: int = 0
    #: what keeps the store from being written now, in words; "" for nothing
    store_trouble: str = ""
    recorder_running: bool = True
    recorder_lag: float = 0.0
    recorder_restarts: int = 0
    #: state of the link to Redis, since when and why, whether it is cut by hand, and events that Redis has not
    link: str = "standalone"
    link_since: float = 0.0
    link_reason: str = ""
    link_forced: bool = False
    unsynced: int = 0
    #: conflicts that nobody has decided, and agents that went without a word
    conflicts: int = 0
    agents_lost: int = 0


def needs_attention(figures: Figures) -> list[Attention]:
    """Everything worth a look, worst first."""
    found = [*_store(figures), *_recorder(figures), *_link(figures), *_dead(figures)]
    for queue in figures.queues:
        found += _queue(queue)
    return sorted(found, key=lambda item: (_ORDER[item.level], -item.since))


def _store(figures: Figures) -> Iterator[Attention]:
    if figures.quarantined:
        yield Attention(
            "error",
            _many(figures.quarantined, "entry", "entries") + " of the store set aside",
            "They could not be opened: wrong key, damaged or of another version. Nothing was dropped.",
            "/",
            action="store.acknowledge",
        )
    if figures.store_trouble:
        yield Attention("error", "The store cannot be written", figures.store_trouble, "/")
    used = figures.store_used / figures.store_limit if figures.store_limit else 0.0
    if used < STORE_WARNING:
        return
    text = "New jobs are refused at 100 %. Let workers catch up, shorten the retention or raise store_limit."
    yield Attention("error" if used >= STORE_ERROR else "warning", f"The store is {used:.0%} full", text, "/")


def _recorder(figures: Figures) -> Iterator[Attention]:
    if not figures.recorder_running:
        text = (
            f"Jobs go on and nothing is lost; history follows when it is back. Restarts: {figures.recorder_restarts}."
        )
        yield Attention("error", "History is not being recorded", text, "/")
    elif figures.recorder_lag > SLOW_RECORDER:
        text = "Jobs are not slowed by it; pages show history late."
        yield Attention("warning", f"History is {_span(figures.recorder_lag)} behind", text, "/")


def _link(figures: Figures) -> Iterator[Attention]:
    if figures.link == "airgapped":
        title = "The link to Redis is cut by hand" if figures.link_forced else "Redis cannot be reached"
        kept = _many(figures.unsynced, "event waits", "events wait")
        text = f"Jobs go on from this node's own store; {kept} for Redis. {figures.link_reason:.200}".strip()
        yield Attention("warning", title, text, "/air-gap", figures.link_since)
    if figures.conflicts:
        text = "Two sides of a cut did what cannot both stand; what stands stays until someone decides."
        yield Attention("warning", _many(figures.conflicts, "conflict", "conflicts") + " to decide", text, "/air-gap")
    if figures.agents_lost:
        text = "They left without a word. Their jobs go to others when the leases expire."
        yield Attention(
            "warning", _many(figures.agents_lost, "agent is lost", "agents are lost"), text, "/agents?presence=lost"
        )


def _dead(figures: Figures) -> Iterator[Attention]:
    if figures.dead_lately:
        text = f"{_many(figures.dead, 'dead letter', 'dead letters')} in all, kept until someone decides."
        title = _many(figures.dead_lately, "job", "jobs") + " died in the last hour"
        yield Attention("warning", title, text, "/dead-letters", figures.dead_since)


def _queue(queue: QueueFigures) -> Iterator[Attention]:
    waiting = _many(queue.waiting, "job waits", "jobs wait")
    link = f"/jobs?queue={quote(queue.name)}&state=available"
    for name in queue.unknown_tasks:
        text = f"Its jobs in {queue.name} wait; load the module that declares it (--tasks) or cancel them."
        yield Attention("error", f"No such task: {name}", text, f"/jobs?q={quote(f'task:{name}')}")
    if queue.paused and queue.waiting:
        yield Attention("warning", f"{queue.name} is paused", f"{waiting} in it.", link)
    elif queue.oldest_wait > SLOW_WAIT:
        text = f"{waiting}; the oldest for {_span(queue.oldest_wait)}."
        yield Attention("warning", f"{queue.name} is behind", text, link)


def _many(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"
