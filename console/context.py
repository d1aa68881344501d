"""What the console is given to work with, composed once by ``run.py``.

``Console`` holds the parts and no behaviour: the engine that runs jobs, the database that remembers them, the settings,
who may come in (``access``), the sampler that feeds pages (``feed``) and the book of who did what (``trail``).  Pages,
REST and command line get this one object and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from console.forgotten import Forgotten

if TYPE_CHECKING:
    from console.auth import Access
    from console.feed import Feed
    from console.trail import Trail
    from data.database import Database
    from engine import Engine, JobRequest, Settings
    from engine.observe.metrics import Metrics


class RecorderState(msgspec.Struct, frozen=True):
    """How the history's recorder process is doing."""

    running: bool
    #: times it was started anew
    restarts: int = 0
    #: seconds that history is behind the log, as far as known
    lag: float = 0.0


def _no_recorder() -> RecorderState:
    return RecorderState(running=True)


@dataclass(frozen=True, slots=True)
class Facts:
    """What only the launcher knows about this process."""

    version: str = "0"
    #: wall time of its start
    started_at: float = 0.0
    #: asks the supervisor of the recorder
    recorder: Callable[[], RecorderState] = _no_recorder
    #: makes the request behind "Run the sample job"; ``None`` if the catalog has no sample
    sample: Callable[[], JobRequest] | None = None


@dataclass(slots=True)
class Console:
    """Everything a page, a route or a command may use."""

    engine: Engine
    database: Database
    settings: Settings
    facts: Facts
    access: Access
    trail: Trail
    feed: Feed
    metrics: Metrics
    forgotten: Forgotten = field(default_factory=Forgotten)


def compose(engine: Engine, database: Database, settings: Settings, facts: Facts | None = None) -> Console:
    """Make the console's own parts around an engine and a database."""
    from console import fleetfigures, linkfigures
    from console.auth import Access
    from console.feed import Feed
    from console.trail import Trail
    from engine.observe.metrics import Metrics

    facts = facts or Facts(started_at=engine.clock.now())
    token = settings.admin_token.reveal() if settings.admin_token is not None else None
    access = Access(settings.home, engine.clock, admin_token=token, session_hours=settings.session_hours)
    feed, metrics = Feed(engine, database, facts), Metrics(engine.counts)
    metrics.add(lambda: linkfigures.figures(engine))
    metrics.add(lambda: fleetfigures.figures(engine))
    engine.bus.subscribe(metrics.take)
    return Console(engine, database, settings, facts, access, Trail(database, engine.clock), feed, metrics)
