"""The same model, driven by hypothesis: it looks for short histories where the seeded driver looks for many."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.model.node import Node
from tests.model.protocol import Rules
from tests.model.rest import settle
from tests.model.world import ANSWER_LOST, ARRIVES, DELAYED, REQUEST_LOST, World

NODES = st.integers(0, 1)
FATES = st.sampled_from((ARRIVES, ANSWER_LOST, REQUEST_LOST, DELAYED))
CHOICES = st.integers(0, 7)


class Link(RuleBasedStateMachine):
    """Two nodes and a Redis."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(Rules())

    @initialize(hold=st.booleans())
    def begin(self, hold: bool) -> None:
        self.world.hold = hold
        for node in self.world.nodes:
            self.world.sync(node, ARRIVES, 7)

    def _node(self, number: int) -> Node:
        self.world.clock += 1
        return self.world.nodes[number]

    @rule(number=NODES, fate=FATES, choice=CHOICES)
    def enqueue(self, number: int, fate: int, choice: int) -> None:
        self.world.enqueue(self._node(number), fate, choice)

    @rule(number=NODES, fate=FATES, choice=CHOICES, begins=st.booleans())
    def claim(self, number: int, fate: int, choice: int, begins: bool) -> None:
        self.world.claim(self._node(number), fate, choice)
        if begins:
            self.world.start(self._node(number), fate, choice)

    @rule(number=NODES, choice=CHOICES)
    def start(self, number: int, choice: int) -> None:
        self.world.start(self._node(number), ARRIVES, choice)

    @rule(number=NODES, fate=FATES, choice=CHOICES)
    def finish(self, number: int, fate: int, choice: int) -> None:
        self.world.finish(self._node(number), fate, choice)

    @rule(number=NODES, fate=FATES, choice=CHOICES)
    def hand_over(self, number: int, fate: int, choice: int) -> None:
        self.world.hand_over(self._node(number), fate, choice)

    @rule(number=NODES, fate=FATES, choice=CHOICES)
    def talk(self, number: int, fate: int, choice: int) -> None:
        step = (World.send, World.renew, World.probe)[choice % 3]
        step(self.world, self._node(number), fate, choice)

    @rule(number=NODES, fate=FATES, choice=CHOICES)
    def sync(self, number: int, fate: int, choice: int) -> None:
        self.world.sync(self._node(number), fate, choice)

    @rule(number=NODES, choice=CHOICES)
    def suffer(self, number: int, choice: int) -> None:
        step = (World.tick, World.sever, World.lose, World.crash, World.deliver)[choice % 5]
        step(self.world, self._node(number), ARRIVES, choice)

    @rule(number=NODES, choice=CHOICES, step=st.sampled_from((World.save, World.restore, World.flush, World.roll_back)))
    def go_back(self, number: int, choice: int, step: object) -> None:
        assert callable(step)
        step(self.world, self._node(number), ARRIVES, choice)

    def teardown(self) -> None:
        settle(self.world)


TestLink = Link.TestCase
TestLink.settings = settings(
    max_examples=100, stateful_step_count=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
