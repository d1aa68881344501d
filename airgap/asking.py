"""What the calls of a linked store ask for: how it stands with the link, the journal to write to, Redis to ask.

A call to Redis that goes unanswered is told to the link, and the caller goes on without; nothing here decides which side a
call goes to (``airgap.linked``) or when the link is lost (``airgap.failover``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from airgap.link import Link
from airgap.linkkeeper import LinkKeeper
from airgap.resync import Resync
from airgap.shared_values import SharedValues
from airgap.shipping import Fenced, Mismatch, Regressed
from airgap.view import CONNECTED
from engine.kernel import events as ev
from engine.kernel.errors import HoldfastError, Unreachable
from engine.kernel.settings import Settings

T = TypeVar("T")


class Asking(SharedValues):
    """Mixed into ``LinkedStore``."""

    settings: Settings
    resync: Resync
    _link: Link | None
    _keeper: LinkKeeper

    @property
    def link(self) -> Link:
        """The link; there is one while the store is open."""
        if self._link is None:
            raise HoldfastError("the store is not open")
        return self._link

    @property
    def client(self) -> Any:
        """What speaks to Redis, for the fleet; ``None`` if the other side is none."""
        return getattr(self.remote, "client", None)

    @property
    def fleet_name(self) -> str:
        """The fleet whose Redis it is."""
        return self.settings.fleet

    @property
    def node(self) -> str:
        """The node's name in Redis; "" while the store is not open."""
        return self._link.node if self._link is not None else ""

    @property
    def silent(self) -> bool:
        """Whether nothing at all may be sent to Redis."""
        return self._link is not None and self._link.silent

    @property
    def state(self) -> str:
        """Of the link."""
        return self.link.state

    @property
    def connected(self) -> bool:
        """Whether calls go to Redis."""
        return self._link is not None and self._link.state == CONNECTED

    @property
    def sending(self) -> bool:
        """Whether new jobs are offered to Redis at once: not while its last call went unanswered."""
        return self._link is not None and self._link.state == CONNECTED and not self._link.suspect

    @property
    def partial(self) -> bool:
        """Whether jobs of the fleet, or such as Redis has not been sent yet, cannot be seen now."""
        return not self.sending or self.resync.unsynced() > 0

    @property
    def may_run_local(self) -> bool:
        """Whether the node's own jobs may be begun here now."""
        return self.link.state != CONNECTED and self.link.may_run_local

    def is_local(self, id_: str) -> bool:
        """Whether a job is live and the node's own."""
        return id_ in self.local.fold.jobs

    def answered(self) -> None:
        """A call to Redis was answered."""
        self.link.worked()

    def unanswered(self, error: Unreachable) -> None:
        """A call to Redis was not answered."""
        self.link.failed(error)

    def write(self, events: Sequence[ev.Event]) -> None:
        """Write what happened to jobs that are Redis' to the journal, and wait until it is there."""
        if events:
            with self.local.lock:
                pending = self.local.move(events)
            pending.settle()

    def ship(self) -> bool:
        """Send what was committed until now; whether Redis has it."""
        if not self.connected:
            return False
        try:
            self.resync.ship()
            self.answered()
            return True
        except Unreachable as error:
            self.unanswered(error)
        except (Regressed, Mismatch, Fenced) as error:
            self._keeper.parted(error)
        except HoldfastError as error:
            self._keeper.refused(error)
        return False

    def _asked(self, call: Callable[[], T], otherwise: T) -> T:
        """What Redis answers; ``otherwise`` if it does not."""
        try:
            answer = call()
            self.answered()
            return answer
        except Unreachable as error:
            self.unanswered(error)
            return otherwise

    def _there(self, call: Callable[[], T], otherwise: T) -> T:
        """What Redis answers while connected."""
        return self._asked(call, otherwise) if self.connected else otherwise

    def _elsewhere(self, ids: Iterable[str], done: Iterable[str], call: Callable[[list[str]], T], nothing: T) -> T:
        """What Redis answers about the ids that are not done."""
        done = set(done)
        rest = [id_ for id_ in ids if id_ not in done]
        return self._there(lambda: call(rest), nothing) if rest else nothing
