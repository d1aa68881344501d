"""Folds what a batch tells of the link to Redis: its states, conflicts, proofs.

Pure memory.  Each of these has a name of its own (node and time, the conflict's id, node and epoch), so that what comes
twice, by journal and by stream, is one row.
"""

from __future__ import annotations

import msgspec

from data.drafts import ConflictDraft
from data.masking import storable
from data.payloads import outcome_json
from engine.kernel import events as ev

#: characters of an error's or a reason's text, and of names, that are kept
REASON, NAME = 1_000, 200


class LinkFold:
    """The rows about the link that a batch makes."""

    def __init__(self) -> None:
        #: (node, at, state, reason, forced, by)
        self.changes: list[tuple[str, float, str, str, bool, str]] = []
        self.conflicts: dict[str, ConflictDraft] = {}
        #: conflict -> (resolved_at, choice, by)
        self.choices: dict[str, tuple[float, str, str]] = {}
        #: (node, epoch, at, began_at, events, bytes, conflicts, rewound, equal, lanes as JSON)
        self.proofs: list[tuple[str, int, float, float, int, int, int, int, bool, str]] = []

    def changed(self, event: ev.LinkChanged) -> None:
        """The link came into another state."""
        reason, by = storable(event.reason, REASON), storable(event.by, NAME)
        self.changes.append((event.node[:NAME], event.at, event.state[:NAME], reason, event.forced, by))

    def found(self, event: ev.ConflictFound) -> None:
        """Both sides of a partition did something; one stands."""
        body, whole = outcome_json(event.body)
        self.conflicts[event.id] = ConflictDraft(
            event.id, event.at, event.job, event.queue, event.kind[:NAME], event.node[:NAME], event.first[:NAME],
            event.later[:NAME], body, whole,
        )  # fmt: skip

    def resolved(self, event: ev.ConflictResolved) -> None:
        """Somebody decided."""
        self.choices[event.id] = (event.at, event.choice[:NAME], storable(event.by, NAME))

    def proved(self, event: ev.ResyncProved) -> None:
        """A resync ended."""
        lanes = msgspec.json.encode(event.lanes).decode()
        self.proofs.append(
            (
                event.node[:NAME], event.epoch, event.at, event.began_at, event.events, event.bytes, event.conflicts,
                event.rewound, event.equal, lanes,
            )
        )  # fmt: skip
