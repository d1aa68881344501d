"""What all parts of the Redis store stand on: the client, the tags of queues, Redis' time, the queues that there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from engine.kernel import events as ev
from engine.kernel.bus import Bus
from engine.kernel.clock import Clock, FakeClock
from engine.storage.redis.client import Client, Script
from engine.storage.redis.places import Places
from engine.storage.redis.scripts import script

#: seconds after which the names of the queues are asked for again, and a queue in use is named again
NAMES_SECONDS = 1.0
#: ids in one call
IDS = 500


class Calls:
    """Runs scripts for queues.  Mixed into ``RedisStore``."""

    def __init__(self, client: Client, clock: Clock, bus: Bus, fleet: str) -> None:
        self.client = client
        self.clock = clock
        self.bus = bus
        self.fleet = fleet
        #: job id -> queue
        self.places: Places[str, str] = Places()
        self._decode = ev.decoder().decode
        self._named: dict[str, float] = {}
        self._queues: frozenset[str] = frozenset()
        self._asked_at = -NAMES_SECONDS
        self._fake_start = clock.now() - clock.monotonic() if isinstance(clock, FakeClock) else None

    # --- names ---

    def tag(self, queue: str) -> str:
        """What the keys of a queue begin with."""
        return f"{{hf:{self.fleet}:{queue}}}:"

    @property
    def fleet_tag(self) -> str:
        """What the keys of the whole fleet begin with."""
        return f"{{hf:{self.fleet}}}:"

    def register(self, queues: Iterable[str], *, anew: bool = False) -> None:
        """Make queues known to everybody before something is put into them.  Named again from time to time, since Redis
        may have lost what it knew; ``anew`` where it is seen that it has."""
        now = self.clock.monotonic()
        fresh = [queue for queue in queues if anew or self._named.get(queue, -1e9) < now - NAMES_SECONDS]
        if fresh:
            self.client.call(script("register"), self.fleet_tag, self.time(), *fresh)
            self._named.update(dict.fromkeys(fresh, now))
            self._queues |= set(fresh)

    def known_queues(self) -> frozenset[str]:
        """The queues that this process knows of, without asking."""
        return self._queues

    def queues(self) -> frozenset[str]:
        """All queues of the fleet."""
        now = self.clock.monotonic()
        if now - self._asked_at >= NAMES_SECONDS or self._fake_start is not None:
            names = self.client.command("SMEMBERS", f"{self.fleet_tag}queues")
            self._queues = frozenset(name.decode() for name in names)
            self._asked_at = now
        return self._queues

    # --- calls ---

    def time(self) -> str:
        """What stands for Redis' time: nothing, or a test's own, which is steady like Redis' own."""
        if self._fake_start is None:
            return ""
        return f"{(self._fake_start + self.clock.monotonic()) * 1e6:.0f}"

    def run(self, name: str, queue: str, *args: Any) -> Any:
        """What a script answers for a queue."""
        return self.client.call(script(name), self.tag(queue), self.time(), *args)

    def run_all(self, calls: Sequence[tuple[str, str, Sequence[Any]]]) -> list[Any]:
        """Answers of (script, queue, arguments), sent together; raises what the first that failed met."""
        if len(calls) == 1:
            name, queue, args = calls[0]
            return [self.run(name, queue, *args)]
        answers = self.try_all(calls)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def try_all(self, calls: Sequence[tuple[str, str, Sequence[Any]]]) -> list[Any]:
        """As ``run_all``, with errors among the answers."""
        time = self.time()
        sent: list[tuple[Script, str, Sequence[Any]]] = [
            (script(name), self.tag(queue), (time, *args)) for name, queue, args in calls
        ]
        return self.client.pipeline(sent) if sent else []

    def for_ids(self, name: str, ids: Iterable[str], *args: Callable[[str], Any]) -> list[tuple[str, list[str], Any]]:
        """Answers of a script to ids in the queues where they are or may be, as (queue, ids, answer); each argument before
        the ids is made from the queue's name."""
        calls = [
            (queue, some[start : start + IDS])
            for queue, some in self._placed(ids).items()
            for start in range(0, len(some), IDS)
        ]
        answers = self.run_all([(name, queue, (*(arg(queue) for arg in args), *some)) for queue, some in calls])
        return [(queue, some, answer) for (queue, some), answer in zip(calls, answers, strict=True)]

    def _placed(self, ids: Iterable[str]) -> dict[str, list[str]]:
        placed: defaultdict[str, list[str]] = defaultdict(list)
        for id_ in dict.fromkeys(ids):
            queue = self.places.of(id_)
            for name in (queue,) if queue is not None else self.queues():
                placed[name].append(id_)
        return placed

    def publish(self, count: int, blob: bytes) -> list[ev.AnyEvent]:
        """Tell the bus of events that a script made."""
        events = self.events(count, blob)
        if events:
            self.bus.publish(events)
        return events

    def events(self, count: int, blob: bytes) -> list[ev.AnyEvent]:
        """Events of a blob without a head."""
        return self._decode(b"\xdd" + count.to_bytes(4, "big") + blob) if count else []
