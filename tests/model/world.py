"""Nodes, a Redis, and the network between them: every step that can happen, and what must be true after it.

All chance is in the arguments of the steps (which node, the fate of its message, a choice), so that a history is a list of
numbers.  Steps that make no sense at the moment do nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.model import protocol as p
from tests.model import resync
from tests.model.node import AIRGAPPED, CONNECTED, RECOVERING, Node
from tests.model.protocol import ENDS, JOBS, REMOTE, Broken, Rules
from tests.model.server import APPLIED, KNOWN, Server

#: fates of a message
ARRIVES, REQUEST_LOST, ANSWER_LOST, DELAYED = range(4)
#: events in one shipment
BATCH = 3


class World:
    """One history."""

    def __init__(self, rules: Rules, *, nodes: int = 2, hold: bool = False) -> None:
        self.rules, self.hold = rules, hold
        self.clock = 1
        self._counter = 100
        self.server = Server(self, 0)
        self.snapshot = self.server.copy()
        self.nodes = [Node(number, rules) for number in range(nodes)]
        self.delayed: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        #: jobs whose enqueueing was answered
        self.accepted: set[int] = set()
        #: jobs that Redis ever could give to anybody
        self.shared: set[int] = set()
        #: executions that count, and reasons why there may be one more
        self.starts: dict[int, int] = {}
        self.causes: dict[int, int] = {}
        #: jobs with an outcome on some disk
        self.done: set[int] = set()
        #: Redis went back, or a disk did
        self.regressed = self.rolled_back = False

    def number(self) -> int:
        """A number never used before."""
        self._counter += 1
        return self._counter

    def call(self, node: Node, fate: int, script: Callable[..., Any], *arguments: Any) -> Any:
        """Run a script of Redis; ``None`` if no answer came."""
        if node.cut or fate == REQUEST_LOST:
            return None
        if fate == DELAYED:
            self.delayed.append((script, arguments))
            return None
        answer = script(self.server, *arguments)
        return None if fate == ANSWER_LOST else answer

    # jobs

    def enqueue(self, node: Node, fate: int, choice: int) -> None:
        """Accept a job; some name their request."""
        key = choice + 1 if choice < 2 else 0
        if key and key in node.keys:
            return
        job = self.number()
        if key:
            node.keys[key] = job
        connected = node.link == CONNECTED
        node.append((p.ENQUEUED, job, int(connected), key))
        self.accepted.add(job)
        if not connected or not self.rules.offered:
            node.waiting.add(job)
        if connected:
            self.ship(node, JOBS, fate)

    def claim(self, node: Node, fate: int, choice: int) -> None:
        """Lease a job of Redis."""
        if node.link != CONNECTED:
            return
        answer = self.call(node, fate, Server.claim, node.id, node.epoch, choice)
        if answer is None:
            if self.rules.claims:
                node.recover()
        elif answer[1]:
            node.held.append(answer)

    def start(self, node: Node, fate: int, choice: int) -> None:
        """Begin to run what is held under a lease, or a job of its own."""
        count = len(node.held) + len(node.waiting)
        if not count:
            return
        index = choice % count
        if index < len(node.held):
            job, token = node.held.pop(index)
        else:
            job, token = sorted(node.waiting)[index - len(node.held)], len(node.order) + 1
            node.waiting.discard(job)
        self._judge_start(job, token)
        node.running.append((job, token))

    def _judge_start(self, job: int, token: int) -> None:
        if token < REMOTE and job in self.shared and not self.rolled_back:
            raise Broken(p.UNLEASED)
        count = self.starts[job] = self.starts.get(job, 0) + 1
        if self.regressed:
            return
        if self.hold and (job in self.done or any(job == run[0] for node in self.nodes for run in node.running)):
            raise Broken(p.HOLD)
        if count > 1 + self.causes.get(job, 0):
            raise Broken(p.UNCAUSED)

    def finish(self, node: Node, fate: int, choice: int) -> None:
        """End what runs: journal first, then Redis."""
        if not node.running:
            return
        job, token = node.running.pop(choice % len(node.running))
        again = choice == 7
        node.append((p.RETRIED if again else p.COMPLETED, job, token, self.number()))
        if not again:
            self.done.add(job)
        elif token < REMOTE:
            node.waiting.add(job)
            self.starts[job] -= 1
        if node.link == CONNECTED:
            self.ship(node, ENDS if token >= REMOTE else JOBS, fate)

    def hand_over(self, node: Node, fate: int, choice: int) -> None:
        """Give a job of its own to the fleet."""
        if node.link != CONNECTED or not node.waiting:
            return
        job = sorted(node.waiting)[choice % len(node.waiting)]
        node.append((p.OFFERED, job, 0, 0))
        if self.rules.handover:
            node.waiting.discard(job)
        if self.ship(node, JOBS, fate):
            node.waiting.discard(job)

    # the link

    def ship(self, node: Node, kind: int, fate: int) -> bool:
        """Send the next events of a lane; whether Redis answered that it has them."""
        number, log = node.acked[kind], node.logs[kind]
        last = min(number + BATCH, len(log))
        if number >= last:
            return True
        before, after = node.mark(kind, number), node.mark(kind, last)
        answer = self.call(
            node, fate, Server.apply, node.id, node.name, node.epoch, kind, before, log[number:last], after
        )
        if answer is None:
            return False
        status, firsts = answer
        if status not in (APPLIED, KNOWN) and self.rules.rewind:
            node.recover()
            return False
        node.acked[kind] = last
        if firsts and not self.rules.quiet:
            self._delete(node, firsts)
        return True

    def _delete(self, node: Node, firsts: dict[int, int]) -> None:
        for kind, job, offered, _ in tuple(node.logs[JOBS]):
            if kind == p.ENQUEUED and offered and job in firsts:
                node.append((p.DELETED, job, 0, 0))

    def send(self, node: Node, fate: int, choice: int) -> None:
        """Send what was not acknowledged yet."""
        if node.link == CONNECTED:
            self.ship(node, choice & 1, fate)

    def renew(self, node: Node, fate: int, choice: int) -> None:
        """Prolong leases, and drop what was taken away before it began."""
        if node.link == CONNECTED and (leases := node.leases()):
            gone = self.call(node, fate, Server.renew, leases)
            if gone:
                node.held = [lease for lease in node.held if lease not in gone]
                if self.hold:
                    node.recover()

    def probe(self, node: Node, fate: int, choice: int) -> None:
        """See whether Redis is there, and still the one it was."""
        if node.link != CONNECTED:
            return
        answer = self.call(node, fate, Server.probe, node.id, node.name)
        if answer is None:
            return
        if answer[0] != node.genesis or answer[1] != node.beat + 1 or not resync.as_left(self, node, answer):
            node.recover()
        node.beat = answer[1]

    def lose(self, node: Node, fate: int, choice: int) -> None:
        """Hold Redis for lost, rightly or not."""
        node.link, node.stage = AIRGAPPED, 0

    def sync(self, node: Node, fate: int, choice: int) -> None:
        """Take some stages of a resync; the fate is that of the last."""
        for left in range(choice, -1, -1):
            if node.link == CONNECTED or node.stopped or node.cut:
                return
            node.link = RECOVERING
            if resync.STAGES[node.stage](self, node, ARRIVES if left else fate):
                node.stage += 1

    # the world around

    def tick(self, node: Node, fate: int, choice: int) -> None:
        """Let time pass; leases run out."""
        self.clock += 20 * (choice + 1)
        self.server.promote()

    def sever(self, node: Node, fate: int, choice: int) -> None:
        """Cut a node's network, or mend it."""
        node.cut = not node.cut

    def deliver(self, node: Node, fate: int, choice: int) -> None:
        """Let a late message arrive."""
        if self.delayed:
            script, arguments = self.delayed.pop(choice % len(self.delayed))
            script(self.server, *arguments)

    def crash(self, node: Node, fate: int, choice: int) -> None:
        """Kill a node and start it again."""
        for job, token in node.running:
            if token < REMOTE:
                self.causes[job] = self.causes.get(job, 0) + 1
        node.boot()

    def roll_back(self, node: Node, fate: int, choice: int) -> None:
        """Kill a node and start it from a backup of its disk."""
        self.regressed = self.rolled_back = True
        for event in node.roll_back(choice + 1):
            if event[0] == p.ENQUEUED:
                self.accepted.discard(event[1])
        node.acked = [min(number, len(log)) for number, log in zip(node.acked, node.logs, strict=True)]
        node.top = 0
        node.boot()

    def save(self, node: Node, fate: int, choice: int) -> None:
        """Take a snapshot; also: the last moment that a replica got."""
        self.snapshot = self.server.copy()

    def restore(self, node: Node, fate: int, choice: int) -> None:
        """Go back to the snapshot; also: fail over to the replica."""
        self.regressed = True
        self.server = self.snapshot.copy()
        self.server.behind = 10 * choice if choice > 4 else 0

    def flush(self, node: Node, fate: int, choice: int) -> None:
        """Forget everything."""
        self.regressed = True
        self.server = Server(self, self.number())
