"""The tables of a fleet's history: what came by which road, states of the link, conflicts, proofs."""

from __future__ import annotations

from sqlalchemy import Boolean, Double, Index, LargeBinary
from sqlmodel import Field

from data.columns import BIG, NAME, Base, column, key, long, partial, seconds, short, table_of, yes_no

#: condition of a partial index; a query repeats it word for word, or SQLite does not use the index
IS_OPEN = "resolved_at = 0 AND kind <> ''"


class LaneMark(Base, table=True):
    """How far a lane of a node was recorded from the streams of Redis, in numbers of its journal."""

    __tablename__ = "lanes"
    __table_args__ = ({"sqlite_with_rowid": False},)
    node: str = key(NAME)
    queue: str = key(NAME)
    kind: str = key(NAME)
    number: int = column(BIG, 0)


class StreamMark(Base, table=True):
    """How far a stream of Redis is in history."""

    __tablename__ = "streams"
    __table_args__ = ({"sqlite_with_rowid": False},)
    fleet: str = key(NAME)
    stream: str = key(NAME)
    mark: str = short()


class ParkedEvent(Base, table=True):
    """An event that came before the job that it is about."""

    __tablename__ = "parked"
    __table_args__ = (Index("parked_job", "job"),)
    n: int = Field(default=None, sa_type=BIG, primary_key=True)
    job: str = short()
    at: float = seconds()
    body: bytes = column(LargeBinary, b"")


class LinkChange(Base, table=True):
    """The link of a node to Redis came into another state."""

    __tablename__ = "link_changes"
    __table_args__ = (Index("link_changes_at", "at"),)
    node: str = key(NAME)
    at: float = key(Double)
    state: str = key(NAME)
    reason: str = long()
    forced: bool = yes_no()
    by: str = short()


class Conflict(Base, table=True):
    """What two sides of a partition did that cannot both stand; ``kind`` "" while only its decision is known."""

    __tablename__ = "conflicts"
    __table_args__ = (
        Index("conflicts_at", "at", "id"),
        Index("conflicts_job", "job"),
        partial("conflicts_open", IS_OPEN, "at", "id"),
    )
    id: str = key(NAME)
    at: float = seconds()
    job: str = short()
    queue: str = short()
    kind: str = short()
    node: str = short()
    first: str = short()
    later: str = short()
    #: JSON; the beginning of it as a JSON text if it is not whole
    body: str = long("null")
    whole: bool = column(Boolean, True)
    resolved_at: float = seconds()
    choice: str = short()
    by: str = short()


class Proof(Base, table=True):
    """What both sides counted at the end of a resync."""

    __tablename__ = "proofs"
    __table_args__ = (Index("proofs_at", "at"),)
    node: str = key(NAME)
    epoch: int = key(BIG)
    at: float = key(Double)
    began_at: float = seconds()
    events: int = column(BIG, 0)
    bytes: int = column(BIG, 0)
    conflicts: int = column(BIG, 0)
    rewound: int = column(BIG, 0)
    equal: bool = yes_no()
    #: JSON: for each lane queue, kind, number and chain here, number and chain there
    lanes: str = long("[]")


lanes, streams, parked = table_of(LaneMark), table_of(StreamMark), table_of(ParkedEvent)
link_changes, conflicts, proofs = table_of(LinkChange), table_of(Conflict), table_of(Proof)
