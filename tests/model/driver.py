"""Random histories from seeds, and the shortest form of one that breaks an invariant.

A history is a list of words; one word says the step, the node, the fate of its message and a choice.  Three weathers: in
``CALM`` only the network and processes fail, in ``STORM`` Redis goes back in time, in ``FLOOD`` disks of nodes do as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

from tests.model.node import Node
from tests.model.protocol import Broken, Rules
from tests.model.rest import settle
from tests.model.world import ANSWER_LOST, ARRIVES, DELAYED, REQUEST_LOST, World

Step = Callable[[World, Node, int, int], None]


def _table(weights: dict[Step, int]) -> tuple[Step, ...]:
    return tuple(step for step, weight in weights.items() for _ in range(weight))


_COMMON: dict[Step, int] = {
    World.enqueue: 9, World.claim: 9, World.start: 10, World.finish: 9, World.hand_over: 3, World.send: 4, World.renew: 2,
    World.probe: 2, World.lose: 2, World.sync: 9, World.tick: 3, World.sever: 3, World.deliver: 3, World.crash: 2,
}  # fmt: skip
_REGRESSION: dict[Step, int] = {World.save: 4, World.restore: 3, World.flush: 1}
CALM = _table(_COMMON)
STORM = _table(_COMMON | _REGRESSION)
FLOOD = _table(_COMMON | _REGRESSION | {World.roll_back: 3})
FATES = (ARRIVES,) * 10 + (ANSWER_LOST,) * 3 + (REQUEST_LOST,) + (DELAYED,) * 2
#: steps of a history
LENGTH = 32


class Setting(NamedTuple):
    """Where a history takes place."""

    steps: tuple[Step, ...]
    nodes: int
    hold: bool


class Finding(NamedTuple):
    """A history that breaks an invariant."""

    invariant: str
    seed: int
    trace: list[str]


def setting_of(seed: int) -> Setting:
    """The setting that belongs to a seed."""
    return Setting((CALM, STORM, FLOOD)[seed % 3], 2 + (seed >> 2 & 1), bool(seed & 2))


def words_of(seed: int) -> list[int]:
    """The history that belongs to a seed."""
    bits = Random(seed).getrandbits
    return [bits(20) for _ in range(LENGTH)]


def live(rules: Rules, setting: Setting, words: list[int]) -> World:
    """Live through a history, to its end.  Raises ``Broken``."""
    world = World(rules, nodes=setting.nodes, hold=setting.hold)
    nodes, steps, count = world.nodes, setting.steps, len(setting.steps)
    for node in nodes:
        world.sync(node, ARRIVES, 7)
    for word in words:
        world.clock += 1
        step = steps[(word & 127) % count]
        step(world, nodes[(word >> 7 & 3) % setting.nodes], FATES[word >> 9 & 15], word >> 13 & 7)
    settle(world)
    return world


def play(rules: Rules, setting: Setting, words: list[int]) -> str:
    """Live through a history; answers the invariant that breaks, or nothing."""
    try:
        live(rules, setting, words)
    except Broken as broken:
        return str(broken)
    return ""


def findings(rules: Rules, seeds: range) -> Iterator[Finding]:
    """Histories among the seeds that break an invariant, each in its shortest form."""
    for seed in seeds:
        setting, words = setting_of(seed), words_of(seed)
        invariant = play(rules, setting, words)
        if invariant:
            short = _shortened(rules, setting, words, invariant)
            yield Finding(invariant, seed, [_told(setting, word) for word in short])


def _shortened(rules: Rules, setting: Setting, words: list[int], invariant: str) -> list[int]:
    index = 0
    while index < len(words):
        fewer = words[:index] + words[index + 1 :]
        if play(rules, setting, fewer) == invariant:
            words, index = fewer, 0
        else:
            index += 1
    return words


def _told(setting: Setting, word: int) -> str:
    step = setting.steps[(word & 127) % len(setting.steps)]
    fate = ("", " (request lost)", " (answer lost)", " (delayed)")[FATES[word >> 9 & 15]]
    return f"{'ABC'[(word >> 7 & 3) % setting.nodes]}.{step.__name__} {word >> 13 & 7}{fate}"
