"""What a node's journal says to Redis: epochs, marks, shipments, probes.  A part of ``RedisStore``.

A shipment is one script call (a longer one is cut, each piece with marks of its own), and calls of many lanes travel in one
pipeline.  A piece that is not applied changes nothing, and the pieces after it in its lane can't be applied either, since
each says what went before it; that they are answered alike is only told here.
"""

from __future__ import annotations

import secrets
from abc import abstractmethod
from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Any

import msgspec

from engine.kernel import events as ev
from engine.storage.lanes import ENDS, JOBS, Lane, Mark, Pulse, Receipt, Shipment
from engine.storage.redis.calls import IDS, Calls
from engine.storage.redis.endings import token_text
from engine.storage.redis.moves import cut, numbers_of, packed
from engine.storage.redis.reading import end_of, record_of
from engine.storage.redis.receipts import Receipts
from engine.storage.redis.scripts import script

#: calls in one pipeline: enough to keep Redis busy while answers travel, few enough to hold in memory
CALLS = 16
#: seconds that a probe waits for its answer
PROBE_SECONDS = 0.5
#: letter of a job's record -> its state
STATES = {
    b"A": "available", b"S": "scheduled", b"Y": "retryable", b"R": "running", b"D": "dead", b"O": "owned",
    b"C": "completed", b"X": "cancelled",
}  # fmt: skip

_encode = msgspec.msgpack.encode


class Lanes(Calls):
    """The part of ``Remote`` that is no store.  Mixed into ``RedisStore``."""

    result_ttl: float
    result_limit: int
    idempotency_ttl: float

    def enlist(self, node: str) -> int:
        """See ``Remote.enlist``."""
        return int(self.client.call(script("enlist"), self.fleet_tag, self.time(), node))

    def marks(self, node: str, epoch: int, queues: Iterable[str]) -> dict[Lane, Mark]:
        """See ``Remote.marks``."""
        named = sorted(set(queues))
        self.register(named)
        kept = self._kept_marks(node, epoch, named)
        return {Lane(queue, kind): kept.get(Lane(queue, kind), Mark()) for queue in named for kind in (ENDS, JOBS)}

    def known_lanes(self, node: str) -> set[Lane]:
        """See ``Remote.known_lanes``."""
        names = [name.decode() for name in self.client.command("SMEMBERS", f"{self.fleet_tag}queues")]
        return {lane for lane, mark in self._kept_marks(node, 0, names).items() if mark.number}

    def _kept_marks(self, node: str, epoch: int, queues: Sequence[str]) -> dict[Lane, Mark]:
        answers = self.run_all([("marks", queue, (node, epoch)) for queue in queues]) if queues else []
        return {
            Lane(queue, kind): Mark(int(kept[0]), kept[1])
            for queue, answer in zip(queues, answers, strict=True)
            for kind, kept in zip((ENDS, JOBS), answer, strict=True)
            if kept
        }

    def apply(self, node: str, epoch: int, shipments: Sequence[Shipment]) -> list[Receipt]:
        """See ``Remote.apply``."""
        self.register({shipment.lane.queue for shipment in shipments})
        for shipment in shipments:
            new = [event.event.id for event in shipment.events if type(event.event) is ev.JobEnqueued]
            self.places.remember(new, shipment.lane.queue)
        receipts = Receipts(node, shipments)
        pieces = ((index, piece) for index, shipment in enumerate(shipments) for piece in cut(shipment))
        while batch := list(islice(pieces, CALLS)):
            sent = [(index, piece) for index, piece in batch if not receipts.stopped(piece.lane)]
            answers = self.run_all([self._application(node, epoch, piece) for _, piece in sent]) if sent else []
            for (index, piece), answer in zip(sent, answers, strict=True):
                receipts.add(index, piece, answer)
        return receipts.all()

    def _application(self, node: str, epoch: int, piece: Shipment) -> tuple[str, str, Sequence[Any]]:
        moves, blob = packed(piece.events)
        before, after = piece.before, piece.after
        return (
            "apply",
            piece.lane.queue,
            (
                node, piece.lane.kind, epoch, before.number, before.chain, after.number, after.chain, moves, blob,
                numbers_of(piece), piece.lane.queue, self.result_ttl, self.result_limit, self.idempotency_ttl,
            ),
        )  # fmt: skip

    def probe(self, node: str) -> Pulse:
        """See ``Remote.probe``."""
        name = secrets.token_hex(16)
        answer = self.client.call(script("probe"), self.fleet_tag, self.time(), node, name, timeout=PROBE_SECONDS)
        if self.client.cluster:
            self._probe_shards(node, name)
        return Pulse(answer[0].decode(), int(answer[1]), int(answer[2]) / 1e6)

    def _probe_shards(self, node: str, name: str) -> None:
        """A Cluster is there if each of its servers is that has a queue of ours: what goes to one must not wait for another."""
        shards = self.client.tags_by_node([self.tag(queue) for queue in self.known_queues()])
        asked = [(script("probe"), tags[0], (self.time(), node, name)) for tags in shards]
        for answer in self.client.pipeline(asked, timeout=PROBE_SECONDS) if asked else ():
            if isinstance(answer, Exception):
                raise answer

    def states(self, queue: str, ids: Sequence[str]) -> dict[str, str]:
        """See ``Remote.states``."""
        parts = [ids[start : start + IDS] for start in range(0, len(ids), IDS)]
        answers = self.run_all([("states", queue, part) for part in parts]) if parts else []
        return {
            id_: STATES[letter]
            for part, letters in zip(parts, answers, strict=True)
            for id_, letter in zip(part, letters, strict=True)
            if letter
        }

    def release_held(self, agent: str, before: int, keep: Collection[int] = ()) -> int:
        """See ``Remote.release_held``."""
        queues, kept = sorted(self.queues()), [token_text(token) for token in keep]
        asked = [("release_held", queue, (agent, token_text(before), *kept)) for queue in queues]
        held = self.run_all(asked) if asked else []
        return sum(
            [self.take_back(queue, map(int, tokens)) for queue, tokens in zip(queues, held, strict=True) if tokens]
        )

    @abstractmethod
    def take_back(self, queue: str, tokens: Iterable[int]) -> int:
        """Take back what leases hold; returns how many jobs."""

    def names(self, node: str) -> set[str]:
        """See ``Remote.names``."""
        known = [name.decode() for name in self.client.command("HKEYS", f"{self.fleet_tag}epochs")]
        return {name for name in known if name == node or name.startswith(f"{node}.")}

    def free_owned(self, nodes: Collection[str], by: str = "") -> int:
        """Give the fleet the jobs that nodes hold for themselves which are gone for good; returns how many.  An incarnation
        that comes after a roll-back calls it with the names of those before, after it has sent all that it knows."""
        return sum([self._free_in(queue, nodes, by) for queue in sorted(self.queues())])

    def _free_in(self, queue: str, nodes: Collection[str], by: str) -> int:
        freed, cursor, names = 0, b"0", list(nodes)
        while True:
            cursor, flat = self.client.command("HSCAN", f"{self.tag(queue)}o", cursor, "COUNT", IDS)
            held = zip(flat[::2], flat[1::2], strict=True)
            ids = [id_.decode() for id_, waiting in held if waiting.split(b" ", 3)[3].decode() in nodes]
            if ids:
                event = ev.JobsOffered(self.clock.now(), queue, ids)
                freed += self.run(
                    "free_owned", queue, queue, self.result_ttl, self.result_limit, self.idempotency_ttl, _encode(names),
                    _encode(ids), _encode(event), by,
                )  # fmt: skip
                self.bus.publish([event])
            if cursor == b"0":
                return freed

    def amend(self, queue: str, id_: str, result: bytes) -> bool:
        """See ``Remote.amend``."""
        kept = self.client.command("HGET", f"{self.tag(queue)}r", id_)
        stands = record_of(kept).rest if kept else b""
        end = end_of(stands)
        if not isinstance(end, ev.JobCompleted):
            return False
        return bool(self.run("amend", queue, id_, stands, _encode(msgspec.structs.replace(end, result=result))))

    def silence(self, reason: str) -> None:
        """See ``Remote.silence``."""
        self.client.silence(reason)

    def disconnect(self) -> None:
        """See ``Remote.disconnect``."""
        self.client.disconnect()
