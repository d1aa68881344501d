"""Each rule is there for a reason: without it, histories break the invariant that it guards."""

from __future__ import annotations

import pytest

from tests.model import protocol as p
from tests.model.driver import findings, play, setting_of, words_of
from tests.model.protocol import Rules

#: seeds within which a missing rule must have been noticed
ENOUGH = 20_000

GUARDS = [
    ("offered", p.UNLEASED),
    ("offered", p.UNCAUSED),
    ("offered", p.HOLD),
    ("owned", p.UNLEASED),
    ("owned", p.UNCAUSED),
    ("handover", p.UNLEASED),
    ("tombs", p.REQUEST),
    ("dedup", p.REQUEST),
    ("dedup", p.REVIVED),
    ("alias", p.LOST),
    ("quiet", p.LOST),
    ("fencing", p.STALE_TOKEN),
    ("rewind audit", p.LOST),
    ("rewind audit", p.UNRECORDED),
    ("chain", p.LOST),
    ("audit", p.LOST),
    ("audit", p.STUCK),
    ("whole", p.LOST),
    ("whole", p.REQUEST),
    ("adopt", p.STUCK),
    ("epoch", p.STALE_EPOCH),
    ("exact", p.STALE_EPOCH),
    ("timed above", p.STALE_EPOCH),
    ("above", p.ENDLESS),
    ("claims", p.STUCK),
    ("settle", p.HOLD),
]


@pytest.mark.parametrize(("missing", "invariant"), GUARDS)
def test_without_the_rule_its_invariant_breaks(missing: str, invariant: str) -> None:
    rules = Rules(**dict.fromkeys(missing.split(), False))
    assert any(play(rules, setting_of(seed), words_of(seed)) == invariant for seed in range(ENOUGH))


def test_every_rule_has_an_invariant_that_it_guards() -> None:
    assert {name for missing, _ in GUARDS for name in missing.split()} == set(Rules._fields)


def test_a_finding_tells_the_shortest_history() -> None:
    found = next(findings(Rules(rewind=False, audit=False), range(ENOUGH)))
    assert found.invariant == p.LOST
    assert {step.split()[0].split(".")[1] for step in found.trace} == {"enqueue", "restore"}
