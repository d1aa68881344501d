"""The Redis of a world, between it and each node a cable, and all that may happen to them.

A site names its faults; each is a method that does some harm and says in words what, until ``heal`` mends everything.
``forgot`` tells whether Redis lost, since it was last asked, what it had acknowledged.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.support.partition import DOWN, UP, Partition
from tests.support.redis_hosts import RedisHost, Sentinels, redis_host, sentinels
from tests.support.waiting import until

Fault = Callable[[], str]
#: seconds of writes that a replica lacks at least when it takes over
LAG = (0.05, 0.6)
_pause = threading.Event()


class Site:
    """One Redis behind a cable for each node."""

    def __init__(self, host: RedisHost, cables: list[Partition], dice: random.Random) -> None:
        self.host = host
        self.cables = cables
        self.dice = dice
        self.frozen = False
        self.forgetful = False

    @property
    def urls(self) -> list[str]:
        """Where each node finds Redis."""
        return [cable.url for cable in self.cables]

    @property
    def url(self) -> str:
        """Where whoever watches finds it."""
        return self.host.url

    def faults(self) -> list[Fault]:
        """What may happen."""
        return [self.freeze, self.cut, self.cut, self.cut_all, self.restart]

    def ask(self, *command: Any) -> Any:
        """Ask Redis itself."""
        return self.host.cli(*command)

    def forgot(self) -> bool:
        """Whether it forgot something since the last time it was asked."""
        forgot, self.forgetful = self.forgetful, False
        return forgot

    def heal(self) -> None:
        """All is well again."""
        self.thaw()
        for cable in self.cables:
            cable.heal()

    def thaw(self) -> None:
        """Redis goes on."""
        if self.frozen:
            self.host.thaw()
            self.frozen = False

    def freeze(self) -> str:
        """Redis stands still."""
        if not self.frozen:
            self.host.freeze()
            self.frozen = True
        return "froze Redis"

    def cut(self) -> str:
        """Something is wrong with one cable."""
        number = self.dice.randrange(len(self.cables))
        return f"cable {number}: {self._harm(self.cables[number])}"

    def cut_all(self) -> str:
        """Something is wrong with every cable."""
        return "all cables: " + ", ".join(self._harm(cable) for cable in self.cables)

    def _harm(self, cable: Partition) -> str:
        harms: dict[str, Callable[[], None]] = {
            "drop": cable.drop,
            "reset": cable.reset,
            "refuse": cable.refuse,
            "half open": cable.half_open,
            "only up": lambda: cable.one_way(UP),
            "only down": lambda: cable.one_way(DOWN),
            "delay": lambda: cable.delay(self.dice.random()),
        }
        name = self.dice.choice(list(harms))
        cable.heal()
        harms[name]()
        return name

    def restart(self) -> str:
        """Redis dies, and is started again at once."""
        self.frozen = False
        self.host.restart()
        return "restarted Redis"


class Forgetful(Site):
    """Redis keeps nothing over a restart, is emptied, and set back to what it was a while ago."""

    def __init__(self, host: RedisHost, cables: list[Partition], dice: random.Random) -> None:
        super().__init__(host, cables, dice)
        self._snapshot: Path | None = None

    def faults(self) -> list[Fault]:
        return [*super().faults(), self.flush, self.save, self.restore]

    def restart(self) -> str:
        (self.host.folder / "dump.rdb").unlink(missing_ok=True)
        self.forgetful = True
        return f"{super().restart()}, empty"

    def flush(self) -> str:
        """Somebody empties Redis."""
        self.thaw()
        self.host.flush()
        self.forgetful = True
        return "emptied Redis"

    def save(self) -> str:
        """Somebody takes a backup."""
        self.thaw()
        self._snapshot = self.host.save()
        return "took a backup"

    def restore(self) -> str:
        """Somebody plays the backup back."""
        if self._snapshot is None:
            return self.save()
        self.thaw()
        self.host.restore(self._snapshot)
        self.forgetful = True
        return "played the backup back"


class Pair(Site):
    """A primary and a replica that lags; the address moves to the replica when the primary dies."""

    def __init__(self, host: RedisHost, replica: RedisHost, cables: list[Partition], dice: random.Random) -> None:
        super().__init__(host, cables, dice)
        self.replica = replica
        self._front = Partition(host.port)
        self._lagging = False

    @property
    def front(self) -> Partition:
        """The address for whoever watches."""
        return self._front

    @property
    def url(self) -> str:
        return self._front.url

    def faults(self) -> list[Fault]:
        return [self.freeze, self.cut, self.cut_all, self.lag, self.fail_over, self.fail_over]

    def lag(self) -> str:
        """The replica hears of nothing new."""
        self.replica.cli("REPLICAOF", "NO", "ONE")
        self._lagging = True
        return "cut the replica off"

    def fail_over(self) -> str:
        """The primary dies; the replica takes its place with what it knows."""
        self.thaw()
        if not self._lagging:
            self.lag()
        _pause.wait(self.dice.uniform(*LAG))
        self.host.kill()
        self.host, self.replica = self.replica, self.host
        for cable in (*self.cables, self._front):
            cable.aim(self.host.port)
        self.replica.start()
        self._follow()
        self.forgetful = True
        return "failed over"

    def heal(self) -> None:
        super().heal()
        if self._lagging:
            self._follow()

    def _follow(self) -> None:
        self.replica.cli("REPLICAOF", "127.0.0.1", self.host.port)
        until(lambda: b"master_link_status:up" in self.replica.cli("INFO", "replication"), 30, "the replica follows")
        self._lagging = False


class Watched(Site):
    """Sentinels watch a primary whose replica lags; nodes ask them where it is."""

    def __init__(self, trio: Sentinels, nodes: int, dice: random.Random) -> None:
        super().__init__(trio.primary(), [], dice)
        self._trio = trio
        self._nodes = nodes

    @property
    def urls(self) -> list[str]:
        return [self._trio.url] * self._nodes

    @property
    def url(self) -> str:
        return self._trio.url

    def faults(self) -> list[Fault]:
        return [self.fail_over, self.blink]

    def ask(self, *command: Any) -> Any:
        return self._trio.primary().cli(*command)

    def blink(self) -> str:
        """The primary stands still for less than a Sentinel minds."""
        self.host = self._trio.primary()
        self.host.freeze()
        self.frozen = True
        self.dice.random()
        self.thaw()
        return "the primary blinked"

    def fail_over(self) -> str:
        """The primary dies while its replica lags; the Sentinels name the replica."""
        replica = next(host for host in self._trio.data if host is not self._trio.primary())
        replica.cli("REPLICAOF", "NO", "ONE")
        _pause.wait(self.dice.uniform(*LAG))
        self._trio.fail_over()
        self._trio.mend()
        self.forgetful = True
        return "the Sentinels failed over"


@contextmanager
def site(kind: str, nodes: int, dice: random.Random) -> Iterator[Site]:
    """``keeps``, ``forgets``, ``pair`` or ``watched``, for as long as the block runs."""
    with ExitStack() as stack:
        if kind == "watched":
            yield Watched(stack.enter_context(sentinels()), nodes, dice)
            return
        kept = {"appendonly": "yes"} if kind == "keeps" else {}
        host = stack.enter_context(redis_host(**kept))
        cables = [stack.enter_context(Partition(host.port)) for _ in range(nodes)]
        if kind == "pair":
            replica = stack.enter_context(redis_host(replicaof=f"127.0.0.1 {host.port}", repl_diskless_sync_delay=0))
            found = Pair(host, replica, cables, dice)
            stack.enter_context(found.front)
            yield found
        else:
            yield {"keeps": Site, "forgets": Forgetful}[kind](host, cables, dice)
