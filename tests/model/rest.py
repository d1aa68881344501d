"""The end of a history: everything heals, everything is worked off, and then all must add up."""

from __future__ import annotations

from collections import Counter

from tests.model import protocol as p
from tests.model.node import CONNECTED, Node
from tests.model.protocol import ENDS, JOBS, LEASE, Broken, Mark
from tests.model.resync import rename
from tests.model.server import DONE, GONE, MERGED, OWNED, Kept
from tests.model.world import ARRIVES, World

#: stages that a resync may take, and rounds until nothing is left to do
PATIENCE, ROUNDS = 60, 6


def settle(world: World) -> None:
    """Heal everything, work everything off, check everything."""
    while world.delayed:
        world.deliver(world.nodes[0], ARRIVES, 0)
    for node in world.nodes:
        node.cut = False
    for _ in range(ROUNDS):
        if not _round(world):
            break
    _check(world)


def _round(world: World) -> bool:
    busy = False
    for node in world.nodes:
        world.probe(node, ARRIVES, 0)
        busy |= _connect(world, node)
    for node in world.nodes:
        busy |= _work(world, node)
    world.clock += LEASE + 1
    world.server.promote()
    return busy


def _connect(world: World, node: Node) -> bool:
    if node.link == CONNECTED:
        return False
    for _ in range(PATIENCE):
        if node.stopped:
            rename(world, node)
        world.sync(node, ARRIVES, 0)
        if node.link == CONNECTED:
            return True
    raise Broken(p.ENDLESS)


def _work(world: World, node: Node) -> bool:
    busy = False
    if node.waiting and node.id & 1:
        world.hand_over(node, ARRIVES, 0)
    held = -1
    while held != len(node.held):
        held = len(node.held)
        world.claim(node, ARRIVES, 0)
    while node.held or node.waiting:
        world.start(node, ARRIVES, 0)
    while node.running:
        busy = True
        world.finish(node, ARRIVES, 0)
    for kind in (ENDS, JOBS):
        while node.acked[kind] < len(node.logs[kind]) and world.ship(node, kind, ARRIVES):
            busy = True
    return busy or node.link != CONNECTED


def _check(world: World) -> None:
    _check_accepted(world)
    _check_outcomes(world)
    _check_chains(world)


def _check_chains(world: World) -> None:
    for node in world.nodes:
        for kind, log in enumerate(node.logs):
            here = node.mark(kind, len(log))
            there = world.server.marks.get((node.name, kind), Mark())
            if len(log) > node.base[kind] and here != there:
                raise Broken(p.CHAINS)


def _check_accepted(world: World) -> None:
    for job in world.accepted:
        kept = _resolved(world, job)
        if kept is None or kept.state == GONE:
            raise Broken(p.LOST)
        if kept.state != DONE:
            raise Broken(p.STUCK)
    if any(kept.state == OWNED for kept in world.server.jobs.values()):
        raise Broken(p.STUCK)


def _resolved(world: World, job: int) -> Kept | None:
    jobs = world.server.jobs
    kept = jobs.get(job)
    while kept is not None and kept.state == MERGED:
        kept = jobs.get(kept.first)
    return kept


def _check_outcomes(world: World) -> None:
    outcomes: Counter[int] = Counter()
    requests: dict[int, set[int]] = {}
    for node in world.nodes:
        for event in (*node.logs[ENDS], *node.logs[JOBS]):
            if event[0] == p.COMPLETED:
                outcomes[event[1]] += 1
            elif event[0] == p.ENQUEUED and event[3]:
                requests.setdefault(event[3], set()).add(event[1])
    conflicts = world.server.conflicts
    if any(count > 1 and job not in conflicts for job, count in outcomes.items()):
        raise Broken(p.UNRECORDED)
    for jobs in requests.values():
        executed = {job for job in jobs if outcomes[job]}
        if len(executed) > 1 and len(executed - conflicts) > 1:
            raise Broken(p.REQUEST)
