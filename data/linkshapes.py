"""What queries about the link answer: conflicts, states of the link, proofs.  Frozen, as in ``data.rows``."""

from __future__ import annotations

import msgspec


class ConflictRow(msgspec.Struct, frozen=True, kw_only=True):
    """What two sides of a partition did that cannot both stand, and what was decided."""

    id: str
    at: float
    job: str
    queue: str
    #: result | late | request | unique, see ``ConflictFound``
    kind: str
    #: whose event came later
    node: str
    #: SHA-256 in hex, or the id of a job: of what stands ("" while it is to come), and of what came later
    first: str
    later: str
    #: the later outcome; ``null`` for none
    body: msgspec.Raw
    #: else ``body`` is a JSON text: the beginning of it
    body_whole: bool
    #: of the job as it stands, empty where history does not know it
    task: str = ""
    tenant: str = ""
    state: str = ""
    result: msgspec.Raw | None = None
    #: 0 while nobody has decided
    resolved_at: float = 0.0
    #: keep | take
    choice: str = ""
    by: str = ""


class LinkRow(msgspec.Struct, frozen=True, kw_only=True):
    """A state that a node's link came into."""

    at: float
    node: str
    #: standalone | connected | airgapped | recovering
    state: str
    reason: str
    forced: bool
    by: str
    #: seconds until the next change of that node, 0 for its present state
    lasted: float = 0.0


class ProofLane(msgspec.Struct, frozen=True):
    """What both sides counted of one lane: number of the last event, and the chain up to it in hex."""

    queue: str
    kind: str
    here: int
    here_chain: str
    there: int
    there_chain: str


class ProofRow(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a resync."""

    at: float
    node: str
    epoch: int
    began_at: float
    events: int
    bytes: int
    conflicts: int
    #: events that Redis had lost and got again
    rewound: int
    equal: bool
    lanes: tuple[ProofLane, ...]


class ConflictPage(msgspec.Struct, frozen=True):
    """Some conflicts, the newest first, and where the next begin."""

    rows: tuple[ConflictRow, ...]
    next_cursor: str | None = None


class LinkPage(msgspec.Struct, frozen=True):
    """Some states of links, the newest first, and where the next begin."""

    rows: tuple[LinkRow, ...]
    next_cursor: str | None = None


class ProofPage(msgspec.Struct, frozen=True):
    """Some proofs, the newest first, and where the next begin."""

    rows: tuple[ProofRow, ...]
    next_cursor: str | None = None
