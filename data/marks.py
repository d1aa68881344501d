"""What of which log is in history already: marks of journals, of lanes and of streams.

An event of a node's journal may come from the journal or, inside a lane, by a stream of Redis; its number is the same
both ways, so the first to come counts and the other is passed over.  Everything else of a stream is known by the stream's
own id.  All marks are read and written in the transaction of the rows.  A *turn* counts the commits of all recorders: one
that finds it moved reads the marks anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from data import statements as sql
from data.plain import Plain
from engine.kernel import events as ev
from engine.storage.lanes import REMOTE_TOKENS, lane_of

#: name of the mark that counts commits, and of the one that a log without a node had
TURN, UNNAMED = "", "recorder"


class JournalMark(NamedTuple):
    """How far a journal is in history: its last segment, the time and the number of its last event."""

    position: int = 0
    at: float = 0.0
    number: int = 0


class Marks:
    """All marks of a database, as one transaction saw them."""

    def __init__(self, plain: Plain, fleet: str) -> None:
        self._fleet = fleet
        self.journals = {
            name: JournalMark(position, at, number) for name, position, at, number in plain.all(sql.READ_MARKS)
        }
        self.lanes: dict[tuple[str, str, str], int] = {
            (node, queue, kind): number for node, queue, kind, number in plain.all(sql.READ_LANES)
        }
        self.streams: dict[str, str] = dict(plain.all(sql.READ_STREAMS, (fleet,)))
        self._moved: set[tuple[str, str, str]] = set()

    @property
    def turn(self) -> int:
        """Commits of all recorders until now."""
        return self.journals[TURN].position if TURN in self.journals else 0

    def journal(self, name: str) -> JournalMark:
        """The mark of a journal; one from before marks had the names of nodes is taken over."""
        return self.journals.get(name) or self.journals.get(UNNAMED) or JournalMark()

    def ahead(self, node: str) -> int:
        """The highest number of a node's journal that came by a stream."""
        return max((number for (name, _, _), number in self.lanes.items() if base(name) == node), default=0)

    # --- what is new ---

    def new_of_journal(self, node: str, number: int, event: ev.Event) -> bool:
        """Whether an event of a node's journal did not come by a stream before."""
        lane = lane_of(event)
        if lane is None:
            claim = isinstance(event, ev.JobsClaimed) and event.token < REMOTE_TOKENS
            return not claim or number > self.ahead(node)
        return all(
            number > known
            for (name, queue, kind), known in self.lanes.items()
            if queue == lane.queue and kind == lane.kind and base(name) == node
        )

    def new_of_lane(self, node: str, queue: str, kind: str, number: int) -> bool:
        """Whether an event of a lane came neither from the node's journal nor in the lane before."""
        journal = self.journals.get(base(node))
        return number > self.lanes.get((node, queue, kind), 0) and (journal is None or number > journal.number)

    def advance_lane(self, node: str, queue: str, kind: str, number: int) -> None:
        """A lane was recorded up to ``number``."""
        key = (node, queue, kind)
        if number > self.lanes.get(key, 0):
            self.lanes[key] = number
            self._moved.add(key)

    # --- writing ---

    def write_turn(self, plain: Plain) -> None:
        """Count a commit."""
        mark = self.journals[TURN] = JournalMark(self.turn + 1)
        plain.many(sql.WRITE_MARK, [(TURN, *mark)])

    def write_journal(self, plain: Plain, name: str, mark: JournalMark) -> None:
        """A journal was recorded up to ``mark``."""
        if name not in self.journals and UNNAMED in self.journals:
            del self.journals[UNNAMED]
            plain.many(sql.DELETE_MARK, [(UNNAMED,)])
        self.journals[name] = mark
        plain.many(sql.WRITE_MARK, [(name, *mark)])

    def write_streams(self, plain: Plain, read: Mapping[str, str]) -> None:
        """Streams were recorded up to these ids, and with them the lanes that moved."""
        self.streams.update(read)
        if read:
            plain.many(sql.WRITE_STREAM, [(self._fleet, stream, id) for stream, id in read.items()])
        if self._moved:
            plain.many(sql.WRITE_LANE, [(*key, self.lanes[key]) for key in self._moved])
            self._moved.clear()


def base(node: str) -> str:
    """The journal of a node; it may have another name in Redis after the two have parted."""
    return node.partition(".")[0]


def read_turn(plain: Plain) -> int:
    """Commits of all recorders until now."""
    rows = plain.all(sql.READ_TURN)
    return int(rows[0][0]) if rows else 0
