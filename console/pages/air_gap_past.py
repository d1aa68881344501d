"""What history tells the air gap's page: changes of the link, proofs, conflicts; and how many of each are asked for."""

from __future__ import annotations

from typing import Any

import msgspec

from airgap.view import AirView
from console.actions import Actor, resolve
from console.actions.airgap import why_not_take
from console.context import Console
from console.pages.air_gap_shown import change_of, conflict_of, proof_of
from data import queries

#: rows of a step
CHANGES, CONFLICTS, PROOFS = 12, 10, 6
#: rows at the most: whoever wants more uses the API
MOST = 200
#: conflicts that are read at once to decide all
BATCH = 500


class Asked(msgspec.Struct, frozen=True):
    """How much of the past is wanted."""

    changes: int = CHANGES
    conflicts: int = CONFLICTS
    #: also conflicts that were decided
    all: bool = False


class Past(msgspec.Struct, frozen=True):
    """What was read, as plain values."""

    asked: Asked = Asked()
    changes: list[dict[str, Any]] = []
    more_history: bool = False
    proofs: list[dict[str, Any]] = []
    conflicts: list[dict[str, Any]] = []
    more_found: bool = False
    #: conflicts that were ever found
    found: int = 0

    def history_props(self) -> dict[str, Any]:
        """For the history of the link."""
        return {"changes": self.changes, "more": self.more_history and self.asked.changes < MOST}

    def conflict_props(self) -> dict[str, Any]:
        """For the list of conflicts."""
        more = self.more_found and self.asked.conflicts < MOST
        return {"rows": self.conflicts, "all": self.asked.all, "more": more}

    def proof_props(self, air: AirView) -> dict[str, Any]:
        """For the last proof; the link knows it before history does."""
        last = proof_of(air.last_proof) if air.last_proof else next(iter(self.proofs), None)
        earlier = [proof for proof in self.proofs if last is None or proof["at"] < last["at"]]
        return {"proof": last, "earlier": earlier}

    def turn(self) -> Past:
        """Also those that were decided, or not."""
        return self._asking(conflicts=CONFLICTS, all=not self.asked.all)

    def more_conflicts(self) -> Past:
        """A step more of them."""
        return self._asking(conflicts=self.asked.conflicts + CONFLICTS)

    def more_changes(self) -> Past:
        """A step more of them."""
        return self._asking(changes=self.asked.changes + CHANGES)

    def _asking(self, **changed: Any) -> Past:
        return msgspec.structs.replace(self, asked=msgspec.structs.replace(self.asked, **changed))


def keep_all(console: Console, actor: Actor) -> int:
    """Let stand what stands in all open conflicts; returns how many that were."""
    ids, cursor = [], None
    while True:
        page = queries.conflicts(console.database, open_only=True, limit=BATCH, cursor=cursor)
        ids += [row.id for row in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            break
    for id in ids:
        resolve(console, actor, id, "keep")
    return len(ids)


def read_past(console: Console, before: Past | None = None) -> Past:
    """What history has now of what is asked for; reads the database."""
    asked = (before or Past()).asked
    node = getattr(console.engine.store, "node", None) or None
    changes = queries.link_changes(console.database, node=node, limit=asked.changes)
    proofs = queries.proofs(console.database, node=node, limit=PROOFS)
    found = queries.conflicts(console.database, open_only=not asked.all, limit=asked.conflicts)
    return Past(
        asked=asked,
        changes=[change_of(row) for row in changes.rows],
        more_history=changes.next_cursor is not None,
        proofs=[proof_of(row) | {"lanes": []} for row in proofs.rows],
        conflicts=[conflict_of(row, lambda row: why_not_take(console, row)) for row in found.rows],
        more_found=found.next_cursor is not None,
        found=queries.count_conflicts(console.database, open_only=False),
    )
