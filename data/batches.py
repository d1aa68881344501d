"""The rows that a batch of events makes, while it is folded (``data.folding``): drafts, and how a job moves on.

Pure memory.  ``known`` are the drafts of jobs that earlier batches recorded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from data import ranks
from data.attempts import CLAIMED, COMPLETED, ENDED, RUNNING
from data.drafts import AttemptDraft, Draft, Late, Parked
from data.fleetfold import FleetFold
from data.linkfold import LinkFold
from data.sums import Sums
from engine.kernel import events as ev
from engine.storage.lanes import REMOTE_TOKENS


class Batch:
    """The rows that a batch of events makes."""

    def __init__(
        self,
        known: Iterable[Draft],
        last_n: int,
        *,
        waiting: Mapping[str, Sequence[Parked]] | None = None,
        parks: bool = False,
    ) -> None:
        self.drafts: dict[str, Draft] = {draft.id: draft for draft in known}
        self.first_n = self._next_n = last_n + 1
        self.changed: dict[str, Draft] = {}
        self.attempts: dict[tuple[int, int], AttemptDraft] = {}
        self.sums = Sums()
        self.logs: list[tuple[int, int, float, str, str]] = []
        self.outputs: dict[tuple[int, str], tuple[int, float, str]] = {}
        self.moments: list[tuple[int, float, str, str, int]] = []
        self.fleet = FleetFold()
        self.link = LinkFold()
        self.deleted: list[int] = []
        #: numbers of jobs whose result was taken back
        self.reopened: set[int] = set()
        #: job's id -> what came after the job had moved on
        self.late: dict[str, list[Late]] = {}
        #: what came before the job
        self.parked: dict[str, list[Parked]] = {}
        #: jobs whose beginning has come, so that nothing of them is parked any more
        self.arrived: list[str] = []
        #: wall time of the last event
        self.at = 0.0
        #: events of jobs that history does not know
        self.unknown = 0
        self._waiting = waiting or {}
        self._parks = parks
        #: the events at hand are Redis' own moves
        self._direct = False
        #: jobs whose ends at hand came too late, by Redis' own word
        self._stale: Collection[str] = ()

    def new(self) -> list[Draft]:
        """Jobs of this batch that history has not had before."""
        return [draft for draft in self.drafts.values() if draft.n >= self.first_n]

    def altered(self) -> list[Draft]:
        """Jobs that history had and that changed."""
        return [draft for draft in self.changed.values() if draft.n < self.first_n and draft.id in self.drafts]

    def _known(self, id: str, event: ev.Event) -> Draft | None:
        draft = self.drafts.get(id)
        if draft is None:
            self._unheard(id, event)
        return draft

    def _touched(self, id: str, event: ev.Event) -> Draft | None:
        draft = self.drafts.get(id)
        if draft is None:
            self._unheard(id, event)
        else:
            self.changed[id] = draft
        return draft

    def _unheard(self, id: str, event: ev.Event) -> None:
        """An event of a job that history does not know, or not yet."""
        self.unknown += 1
        if self._parks:
            self.parked.setdefault(id, []).append(Parked(id, self._direct, id in self._stale, event))

    def _news(self, draft: Draft, rank: int) -> bool:
        """Whether an event of that rank tells of the job's state as it stands; from now on it is of that rank."""
        if rank < draft.rank:
            return not ranks.is_older(rank, draft.rank)
        draft.rank = rank
        return True

    def _set_aside(self, draft: Draft, event: Any, rank: int) -> None:
        self.late.setdefault(draft.id, []).append(Late(rank, event, self._direct))

    def _becomes(self, draft: Draft, state: str) -> None:
        """Another state; a running job counts the attempt that it is in."""
        if draft.state in ENDED and state not in ENDED:
            draft.ended_at = 0.0
        if draft.state == COMPLETED != state:
            draft.result = None
            self.reopened.add(draft.n)
        draft.attempt += (state == RUNNING) - (draft.state == RUNNING)
        draft.state = state

    def _enter(self, draft: Draft, token: int) -> None:
        """Another lease holds the job: nothing is known of this attempt yet; of one that has not ended, who had it."""
        if draft.state == RUNNING and draft.token >= REMOTE_TOKENS and not draft.started_at:
            row = AttemptDraft(draft.n, draft.token, 0, CLAIMED, draft.agent, "", 0.0, 0.0)
            self.attempts.setdefault((draft.n, draft.token), row)
        draft.token = token
        draft.agent = draft.worker = draft.progress_message = ""
        draft.started_at = 0.0
        draft.progress = None
        draft.cancelling = False
