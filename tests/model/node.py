"""A node of the model: what is on its disk, and what it forgets when it dies."""

from __future__ import annotations

from bisect import bisect_right

from tests.model.protocol import (
    COMPLETED,
    DELETED,
    ENDS,
    ENQUEUED,
    JOBS,
    OFFERED,
    REMOTE,
    Epoch,
    Event,
    Mark,
    Rules,
    lane_of,
)

#: states of the link
AIRGAPPED, RECOVERING, CONNECTED = range(3)


class Node:
    """A journal with two lanes, and a process that works on it."""

    __slots__ = (
        "acked",
        "base",
        "beat",
        "bound",
        "chains",
        "cut",
        "epoch",
        "genesis",
        "held",
        "id",
        "keys",
        "link",
        "logs",
        "name",
        "names",
        "numbers",
        "order",
        "rules",
        "running",
        "stage",
        "stopped",
        "top",
        "waiting",
    )

    def __init__(self, id_: int, rules: Rules) -> None:
        self.id, self.rules = id_, rules
        # disk
        self.logs: tuple[list[Event], list[Event]] = ([], [])
        self.chains: tuple[list[int], list[int]] = ([], [])
        #: numbers in the journal of what is in each lane, and the lane of each number
        self.numbers: tuple[list[int], list[int]] = ([], [])
        self.order: list[int] = []
        #: (events in the journal when it began, name, where its lanes begin)
        self.names: list[tuple[int, int, tuple[int, int]]] = [(0, id_, (0, 0))]
        self.acked = [0, 0]
        #: the latest epoch it was given
        self.top = 0
        # the network between it and Redis
        self.cut = False
        self.boot()

    # disk

    def append(self, event: Event) -> None:
        """Write an event."""
        kind = lane_of(event)
        log, chains = self.logs[kind], self.chains[kind]
        chains.append(hash((self.mark(kind, len(log)).chain, event)))
        log.append(event)
        self.order.append(kind)
        self.numbers[kind].append(len(self.order))

    def mark(self, kind: int, count: int) -> Mark:
        """Where a lane stood after so many of its events."""
        if count <= self.base[kind]:
            return Mark()
        return Mark(self.numbers[kind][count - 1], self.chains[kind][count - 1])

    def reached(self, kind: int, mark: Mark) -> int:
        """How many events of a lane are within a mark."""
        return max(bisect_right(self.numbers[kind], mark.number), self.base[kind])

    def roll_back(self, count: int) -> list[Event]:
        """Come back from a backup that lacks the last events; answers these."""
        lost = []
        for _ in range(min(count, len(self.order))):
            kind = self.order.pop()
            self.chains[kind].pop()
            self.numbers[kind].pop()
            lost.append(self.logs[kind].pop())
        while self.names[-1][0] > len(self.order):
            self.names.pop()
        return lost

    def rename(self, name: int) -> None:
        """Begin lanes of another name; with the whole log, or (as first thought) after what we have."""
        base = (0, 0) if self.rules.whole else (len(self.logs[ENDS]), len(self.logs[JOBS]))
        self.names.append((len(self.order), name, base))
        self.name, self.base = name, base
        self.acked = [*base]
        self.stopped = False

    # process

    def boot(self) -> None:
        """Begin as a new process: everything is known from the disk alone."""
        _, self.name, self.base = self.names[-1]
        if self.rules.rewind:
            self.acked = [0, 0]
        self.link, self.stage, self.stopped = AIRGAPPED, 0, False
        self.epoch = Epoch()
        #: leases up to this token are older than the epoch
        self.bound = 0
        self.genesis, self.beat = -1, 0
        #: leases of jobs not begun, and everything that runs
        self.held: list[tuple[int, int]] = []
        self.running: list[tuple[int, int]] = []
        #: jobs of its own that wait
        self.waiting: set[int] = set()
        self.keys: dict[int, int] = {}
        for event in self.logs[JOBS]:
            self._fold(event)

    def _fold(self, event: Event) -> None:
        kind, job, offered, key = event
        if kind == ENQUEUED:
            if not offered or not self.rules.offered:
                self.waiting.add(job)
            if key:
                self.keys.setdefault(key, job)
        elif kind in (COMPLETED, OFFERED, DELETED):
            self.waiting.discard(job)

    def recover(self) -> None:
        """Doubt what Redis knows."""
        if self.link == CONNECTED:
            self.link = RECOVERING
        self.stage = 0

    def leases(self) -> list[tuple[int, int]]:
        """Leases of Redis under which it runs something, or will."""
        return [lease for lease in self.held + self.running if lease[1] >= REMOTE]

    def ended(self) -> list[tuple[int, int]]:
        """Leases whose end was not acknowledged yet."""
        return [(event[1], event[2]) for event in self.logs[ENDS][self.acked[ENDS] :]]

    def known(self) -> set[int]:
        """Jobs that its journal speaks of."""
        return {event[1] for event in self.logs[JOBS]}
