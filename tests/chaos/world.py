"""A world of three nodes and one Redis: bad weather in rounds, and after each the account.

What a round promises once all is healed: no accepted job is lost (of a queue that goes to Redis alone: unless Redis forgot);
whatever was executed more than once is accounted for by a rescue, a failure or a conflict, but for what only Redis had and
forgot (jobs of a queue that goes to Redis alone, leases of a process that was killed, all where segments are kept for no
time); a queue that holds its jobs has none done twice unless Redis forgot; both sides agree on every lane; Redis is in order.
The dice are seeded: a seed gives the same weather, if not the same moments.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.kernel.clock import SystemClock
from tests.chaos.evidence import Evidence, Journals, Watcher, executions
from tests.chaos.fleet import Accounts, Node, at_rest, pids_of
from tests.chaos.inside import disorder
from tests.chaos.sites import Fault, Site, site

NODES = 3
#: faults in a round, and seconds between them
FAULTS, BETWEEN = (2, 5), (0.1, 1.2)
_pause = threading.Event()


class World:
    """The nodes, their Redis, and what is known."""

    def __init__(self, folder: Path, place: Site, dice: random.Random, retention: float) -> None:
        self.site = place
        self._clock = SystemClock()
        self.dice = dice
        self.accounts = Accounts()
        self.effects = folder / "effects"
        self.ids = folder / "ids"
        self.nodes = [
            Node(folder / f"node{number}", url, self.effects, self.accounts, retention)
            for number, url in enumerate(place.urls)
        ]
        self.retention = retention
        self.watcher = Watcher(place.url)
        self.journals = Journals()
        self.settled: set[str] = set()
        #: executions that only the forgetfulness of Redis explains
        self.excused: dict[str, int] = {}
        self.twice: set[str] = set()
        self.requests: set[tuple[str, str]] = set()
        self.kills = 0
        self.forgot = 0
        #: what happened, in words
        self.story: list[str] = []

    def open(self) -> None:
        """Start all nodes."""
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.up()
        at_rest(self.nodes)

    def close(self) -> None:
        """End all."""
        self.watcher.close()
        for node in self.nodes:
            node.kill()

    def tell(self, what: str) -> None:
        """Something has happened."""
        self.story.append(f"{self._clock.now():.3f} {what}")

    # --- weather ---

    def round(self) -> None:
        """One round, and its account."""
        self.accounts.round += 1
        self.tell(f"--- round {self.accounts.round}")
        for node in self.nodes:
            node.order("feed")
        for _ in range(self.dice.randint(*FAULTS)):
            _pause.wait(self.dice.uniform(*BETWEEN))
            self.tell(self.dice.choice(self._faults())())
        _pause.wait(self.dice.uniform(*BETWEEN))
        self.heal()
        self.account()

    def _faults(self) -> list[Fault]:
        ours = [self.kill, self.kill, self.by_hand, self.mend]
        return [*ours, *self.site.faults()]

    def kill(self) -> str:
        """A node dies, and another life begins in its home; or it was dead."""
        node = self.dice.choice(self.nodes)
        if node.alive:
            node.kill()
            self.kills += 1
        if self.dice.random() < 0.6:
            self._start(node)
        return f"killed {node.home.name}"

    def _start(self, node: Node) -> None:
        node.start()
        node.up()
        node.order("feed")

    def by_hand(self) -> str:
        """Somebody cuts a node off, or lets it come back."""
        node = self.dice.choice(self.nodes)
        if not node.alive:
            self._start(node)
            return f"started {node.home.name}"
        order = self.dice.choice(["force", "force", "release"])
        node.order(order)
        return f"{order} {node.home.name}"

    def mend(self) -> str:
        """For a moment all is well."""
        self.site.heal()
        return "mended"

    def heal(self) -> None:
        """All is well again, and everybody comes to rest."""
        for node in self.nodes:
            if node.alive:
                node.order("rest")
        self.site.heal()
        for node in self.nodes:
            if not node.alive:
                node.start()
                node.up()
            node.order("release")
        try:
            at_rest(self.nodes)
        except AssertionError as error:
            raise AssertionError("\n".join([*self.story, *disorder(self.site.ask), str(error)])) from None

    # --- the account ---

    def account(self) -> None:
        """See the module."""
        forgot = self.site.forgot()
        self.forgot += forgot
        self.watcher.catch_up()
        for node in self.nodes:
            self.journals.catch_up(node.home)
        evidence = Evidence(executions(self.effects), [*self.journals.events, *self.watcher.events])
        wrong = [*self._lost(evidence, forgot), *self._doubles(evidence, forgot), *self._order()]
        assert not wrong, "\n".join([*self.story, *wrong])

    def _lost(self, evidence: Evidence, forgot: bool) -> Iterator[str]:
        accepted = self.accounts.snapshot()
        asked = {id_: job for id_, job in accepted.items() if id_ not in self.settled}
        self.ids.write_text("\n".join(asked))
        states = self.nodes[0].order("states", str(self.ids))
        for id_, job in asked.items():
            state, reason = states.get(id_, ("unknown", ""))
            if job.queue == "direct" and forgot and state == "unknown":
                continue
            if why := self._wrong(id_, state, reason, evidence):
                yield f"{id_} of {job} is {state} ({reason}): {why}: {self._of(evidence, id_)}"
        self.settled |= set(asked)

    def _wrong(self, id_: str, state: str, reason: str, evidence: Evidence) -> str:
        if state == "completed" or state == "unknown":
            return "" if evidence.ended[id_] else "never ran to its end"
        if state == "cancelled":
            first = reason.rpartition(" ")[2]
            return "" if reason.startswith("the same request as") and evidence.begun[first] else "its first never ran"
        return "" if state == "dead" and evidence.begun[id_] else "it has not ended"

    def _doubles(self, evidence: Evidence, forgot: bool) -> Iterator[str]:
        silent = {id_: n for id_, n in evidence.silent_doubles().items() if n > self.excused.get(id_, 0)}
        held = evidence.held_doubles(pids_of(self.nodes)) - self.twice
        requested = evidence.twice_requested(self.accounts.snapshot())
        again = {key: ids for key, ids in requested.items() if key not in self.requests}
        self.excused |= silent
        self.twice |= held
        self.requests |= set(again)
        yield from (
            f"{id_} ran {n} times more than is accounted for: {self._of(evidence, id_)}"
            for id_, n in silent.items()
            if not (forgot and self._forgettable(evidence, id_, n))
        )
        if forgot:
            return
        yield from (f"{id_} was done twice in a queue that holds: {self._of(evidence, id_)}" for id_ in held)
        yield from (f"{key} ran as {ids}" for key, ids in again.items() if key[0] != "direct")

    def _forgettable(self, evidence: Evidence, id_: str, executions: int) -> bool:
        """Whether Redis may have been the only one that knew of so many executions."""
        if not self.retention or evidence.queues[id_] == "direct":
            return True
        return executions <= evidence.cut_short(id_, pids_of(self.nodes))

    def _of(self, evidence: Evidence, id_: str) -> str:
        lines = [tuple(line) for line in evidence.lines if line.id == id_]
        told = [event for event in (*self.journals.events, *self.watcher.events) if id_ in str(event)]
        return f"{lines}; {told}; killed {pids_of(self.nodes)}"

    def _order(self) -> Iterator[str]:
        for node in self.nodes:
            yield from (f"{node.home.name}: lane {lane}" for lane in node.order("marks"))
            if not node.order("view")["last_proof"]:
                yield f"{node.home.name}: nothing is proved"
        yield from disorder(self.site.ask)

    def summary(self) -> str:
        """What came of it, in one line."""
        evidence = Evidence(executions(self.effects), [*self.journals.events, *self.watcher.events])
        return (
            f"{self.accounts.round} rounds, {len(self.accounts.jobs)} accepted, {len(evidence.lines)} marks, "
            f"{self.kills} kills, Redis forgot in {self.forgot} rounds, {evidence.rewound} events sent again, "
            f"{len(evidence.doubles())} doubles, {len(self.excused)} of them told by the rewind alone, "
            f"{sum(map(bool, evidence.conflicts.values()))} jobs with conflicts, {len(self.accounts.refused)} refused"
        )


@contextmanager
def world(folder: Path, kind: str, seed: int) -> Iterator[World]:
    """A world of some kind (see ``sites.site``) for as long as the block runs."""
    dice = random.Random(f"{kind} {seed}")
    with site(kind, NODES, dice) as place:
        made = World(folder, place, dice, retention=dice.choice([0.0, 86_400.0]))
        try:
            made.open()
            yield made
        finally:
            made.close()
