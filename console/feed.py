"""The one sampler of this process: what all pages show live.

Once a second, and only while somebody looks, it reads the engine and the history off the event loop, keeps the result as
one frozen ``Snapshot`` and hands it to every subscriber on the event loop.  Pages never poll.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from airgap.view import CONNECTED, STANDALONE, AirView, air_of
from data import filters, queries
from data.rows import Bucket, JobRow, Overview, QueueStats
from engine import QueueInfo, RunningJob
from engine.fleet.base import AgentView
from engine.observe.health import Attention, Figures, QueueFigures, needs_attention

if TYPE_CHECKING:
    from console.context import Facts, RecorderState
    from data.database import Database
    from engine import Engine

log = logging.getLogger("holdfast.console")

#: seconds between two samples
PERIOD = 1.0
#: minutes of the queues' sparklines
QUEUE_MINUTES = 24
#: waiting jobs of a queue that are looked at
LOOK = 25
#: all dead letters, in history
DEAD = filters.parse("state:dead")


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The state of this node at one moment."""

    at: float
    #: state -> jobs, over all queues
    counts: dict[str, int]
    queues: tuple[QueueInfo, ...]
    slots: int
    busy: int
    running: tuple[RunningJob, ...]
    #: jobs that could start now, and how long the oldest of them waits (seconds)
    waiting: int
    oldest_wait: float
    overview: Overview
    #: the last hour, per minute and outcome; the last bucket is not over yet
    minutes: tuple[Bucket, ...]
    #: by queue name
    queue_stats: dict[str, QueueStats]
    #: dead letters and their groups
    dead: int
    dead_groups: int
    #: newest jobs
    recent: tuple[JobRow, ...]
    attention: tuple[Attention, ...]
    #: ``store.facts()``: kind, bytes used, limit, level, quarantined …
    store: dict[str, Any]
    recorder: RecorderState
    #: how it stands with the link to Redis, and conflicts that nobody has decided
    air: AirView
    conflicts: int
    #: all agents of the fleet, this process among them
    agents: tuple[AgentView, ...]
    #: nothing was ever enqueued here, as far as the store could be read
    empty: bool = False


class Feed:
    """Samples while somebody looks.  ``latest`` may be read from anywhere; ``subscribe`` belongs to the event loop."""

    def __init__(self, engine: Engine, database: Database, facts: Facts) -> None:
        self._engine = engine
        self._database = database
        self._facts = facts
        self._subscribers: tuple[Callable[[Snapshot], None], ...] = ()
        self._sampling = threading.Lock()
        self._last: Snapshot | None = None
        self._groups: tuple[object, int] = (None, 0)
        self._wanted = asyncio.Event()

    @property
    def watchers(self) -> int:
        """How many subscribers there are."""
        return len(self._subscribers)

    def latest(self, most_old: float = 2 * PERIOD) -> Snapshot:
        """The last snapshot if it is not older than so many seconds, else a new one (reads the disk: not on the loop)."""
        last = self._last
        if last is not None and abs(self._engine.clock.now() - last.at) <= most_old:
            return last
        with self._sampling:
            if self._last is last:
                self._last = self.sample()
            return self._last or self.sample()

    def subscribe(self, callback: Callable[[Snapshot], None]) -> Callable[[], None]:
        """Call ``callback`` on the event loop with every new snapshot; the function returned ends it."""
        self._subscribers = (*self._subscribers, callback)
        self._wanted.set()

        def unsubscribe() -> None:
            self._subscribers = tuple(other for other in self._subscribers if other is not callback)

        return unsubscribe

    async def run(self) -> None:
        """Sample once a second while somebody looks, until cancelled."""
        while True:
            await self._wanted.wait()
            if self._subscribers:
                await self.run_once()
                await asyncio.sleep(PERIOD)
            else:
                self._wanted.clear()

    async def run_once(self) -> None:
        """Take a sample off the loop and hand it round; while it takes long, at least how the link stands."""
        sampling = asyncio.create_task(asyncio.to_thread(self.latest, PERIOD / 2))
        try:
            while not (await asyncio.wait({sampling}, timeout=PERIOD))[0]:
                if self._last is not None:
                    self._hand_round(msgspec.structs.replace(self._last, air=self.air()))
            self._hand_round(sampling.result())
        except Exception:
            log.exception("the console could not sample; pages keep what they show")
        finally:
            sampling.cancel()

    def _hand_round(self, snapshot: Snapshot) -> None:
        for callback in self._subscribers:
            try:
                callback(snapshot)
            except Exception:
                log.exception("a page failed on a snapshot")

    def sample(self) -> Snapshot:
        """Read everything now."""
        engine, database = self._engine, self._database
        now = engine.clock.now()
        air = self.air()
        infos, load, facts, recorder = engine.queues(), engine.load(), engine.store.facts(), self._facts.recorder()
        counts = _summed(info.counts for info in infos)
        overview = queries.overview(database, now)
        minutes = tuple(queries.throughput(database, now - 3600, now, step=60))
        recent = tuple(queries.recent(database, 20))
        figures = [self._queue_figures(info, now) for info in infos]
        dead, conflicts = self._dead(counts, air), queries.count_conflicts(database)
        agents = tuple(engine.fleet.agents())
        lost = 0 if air.state == "airgapped" else sum(agent.presence == "lost" for agent in agents)  # else who knows
        matters = _figures(figures, dead, minutes, facts, recorder)
        matters = msgspec.structs.replace(matters, **_link_figures(air), conflicts=conflicts, agents_lost=lost)
        return Snapshot(
            at=now,
            counts=counts,
            queues=tuple(infos),
            slots=load.slots,
            busy=load.busy,
            running=tuple(load.running),
            waiting=counts.get("available", 0),
            oldest_wait=max((queue.oldest_wait for queue in figures), default=0.0),
            overview=overview,
            minutes=minutes,
            queue_stats={row.queue: row for row in queries.queue_stats(database, now - 60 * QUEUE_MINUTES, now)},
            dead=dead,
            dead_groups=self._dead_groups(dead, minutes),
            recent=recent,
            attention=tuple(needs_attention(matters)),
            store=facts,
            recorder=recorder,
            air=air,
            conflicts=conflicts,
            agents=agents,
            empty=not recent and not any(counts.values()) and not facts.get("unacknowledged"),
        )

    def air(self) -> AirView:
        """How the link stands now; a state without a beginning is as old as this process."""
        air = air_of(self._engine.store)
        return air if air.since else msgspec.structs.replace(air, since=self._facts.started_at)

    def _dead(self, counts: dict[str, int], air: AirView) -> int:
        """Dead letters; those that Redis holds are counted in history while it cannot be asked."""
        here = counts.get("dead", 0)
        cut_off = air.state not in (STANDALONE, CONNECTED)
        return max(here, queries.count_jobs(self._database, DEAD, now=air.since).n) if cut_off else here

    def _dead_groups(self, dead: int, minutes: tuple[Bucket, ...]) -> int:
        """How many groups of dead letters; counted anew only when some came or went."""
        mark = (dead, sum(bucket.failed for bucket in minutes[-3:]))
        if self._groups[0] != mark:
            self._groups = (mark, len(queries.dead_groups(self._database)) if dead else 0)
        return self._groups[1]

    def _queue_figures(self, info: QueueInfo, now: float) -> QueueFigures:
        waiting = info.counts.get("available", 0)
        if not waiting:
            return QueueFigures(info.name, info.paused, 0)
        views = self._engine.store.peek(info.name, LOOK)
        oldest = min((max(view.created_at, view.run_at) for view in views), default=now)
        tasks = sorted({view.task for view in views})
        unknown = tuple(task for task in tasks if self._engine.registry.find(task) is None)
        return QueueFigures(info.name, info.paused, waiting, max(0.0, now - oldest), unknown)


def _summed(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for states in counts:
        for state, number in states.items():
            total[state] = total.get(state, 0) + number
    return total


def _link_figures(air: AirView) -> dict[str, Any]:
    return {
        "link": air.state,
        "link_since": air.since,
        "link_reason": air.stopped or air.reason,
        "link_forced": air.forced,
        "unsynced": air.unsynced_events,
    }


def _figures(
    queues: list[QueueFigures], dead: int, minutes: tuple[Bucket, ...], facts: dict[str, Any], recorder: RecorderState
) -> Figures:
    failed = [bucket for bucket in minutes if bucket.failed]
    return Figures(
        queues=tuple(queues),
        dead=dead,
        dead_lately=min(dead, sum(bucket.failed for bucket in failed)),
        dead_since=failed[0].at if failed else 0.0,
        store_used=facts.get("used", 0),
        store_limit=facts.get("limit", 0),
        quarantined=int(facts.get("unacknowledged", 0)),
        store_trouble=str(facts.get("trouble") or ""),
        recorder_running=recorder.running,
        recorder_lag=recorder.lag,
        recorder_restarts=recorder.restarts,
    )
