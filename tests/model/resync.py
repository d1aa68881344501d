"""The stages of a resync, each a call that may be lost: enlist, survey the marks, send both lanes, tidy up, prove.

A stage answers whether it is through; one that learns that Redis is not what it was begins again from the first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from tests.model.node import CONNECTED, Node
from tests.model.protocol import ENDS, JOBS, Epoch, Mark, Rules
from tests.model.server import Server


class Network(Protocol):
    """What a resync needs of the world."""

    rules: Rules

    def call(self, node: Node, fate: int, script: Callable[..., Any], *arguments: Any) -> Any:
        """Run a script of Redis; ``None`` if no answer came."""

    def ship(self, node: Node, kind: int, fate: int) -> bool:
        """Send the next events of a lane."""

    def number(self) -> int:
        """A number never used before."""


def rename(world: Network, node: Node) -> None:
    """Go on under a name never used before."""
    node.rename(world.number())
    node.stage = 0


def as_left(world: Network, node: Node, answer: tuple[int, ...]) -> bool:
    """Whether a probe finds epoch and marks as the node knows them."""
    _, _, epoch, ends, jobs = answer
    behind = any(there < node.mark(kind, node.acked[kind]).number for kind, there in ((ENDS, ends), (JOBS, jobs)))
    return not world.rules.audit or (epoch == node.epoch.number and not behind)


def _enlist(world: Network, node: Node, fate: int) -> bool:
    answer = world.call(node, fate, Server.enlist, node.id, node.top)
    if answer is not None:
        node.top = max(node.top, answer)
        node.epoch = Epoch(answer, world.number())
    return answer is not None


def _survey(world: Network, node: Node, fate: int) -> bool:
    answer = world.call(node, fate, Server.fence, node.id, node.name, node.epoch)
    if answer is None:
        return False
    if isinstance(answer, int):
        node.top, node.stage = answer, 0
        return False
    *marks, node.bound = answer
    return not world.rules.rewind or all(_rewound(world, node, kind, marks[kind]) for kind in (ENDS, JOBS))


def _rewound(world: Network, node: Node, kind: int, mark: Mark) -> bool:
    if mark.number > len(node.order):
        rename(world, node)
        return False
    count = node.reached(kind, mark)
    if world.rules.chain and mark != node.mark(kind, count):
        node.stopped = True
        return False
    node.acked[kind] = count
    return True


def _send_ends(world: Network, node: Node, fate: int) -> bool:
    return _send(world, node, ENDS, fate)


def _send_jobs(world: Network, node: Node, fate: int) -> bool:
    return _send(world, node, JOBS, fate)


def _send(world: Network, node: Node, kind: int, fate: int) -> bool:
    return world.ship(node, kind, fate) and node.acked[kind] >= len(node.logs[kind])


def _release(world: Network, node: Node, fate: int) -> bool:
    known = node.leases() + node.ended() if world.rules.settle else node.leases()
    return _ask(world, node, fate, Server.release, node.bound, known)


def _adopt(world: Network, node: Node, fate: int) -> bool:
    return not world.rules.adopt or _ask(world, node, fate, Server.adopt, node.name, node.known())


def _ask(world: Network, node: Node, fate: int, script: Callable[..., Any], *arguments: Any) -> bool:
    answer = world.call(node, fate, script, node.id, node.epoch, *arguments)
    if answer is False:
        node.stage = -1
    return answer is not None


def _prove(world: Network, node: Node, fate: int) -> bool:
    answer = world.call(node, fate, Server.probe, node.id, node.name)
    if answer is None:
        return False
    if as_left(world, node, answer):
        node.genesis, node.beat, node.link = answer[0], answer[1], CONNECTED
    node.stage = -1
    return True


STAGES = (_enlist, _survey, _send_ends, _send_jobs, _release, _adopt, _prove)
