"""A batch of events on its way to the log: what its caller holds, and what the leader who writes it tells."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from engine.kernel.bell import Bell
from engine.kernel.events import Event

log = logging.getLogger("holdfast.journal")


class Batch:
    """Events on their way to the log; see ``Pending``."""

    __slots__ = ("_settle", "bell", "done", "error", "events", "failed", "reserve", "sync", "then")

    def __init__(
        self,
        settle: Callable[[Batch], None],
        events: Sequence[Event],
        sync: bool,
        reserve: bool,
        then: Callable[[], None] | None,
        failed: Callable[[BaseException], None] | None,
    ) -> None:
        self._settle = settle
        self.events = events
        self.sync = sync
        self.reserve = reserve
        self.then = then
        self.failed = failed
        self.done = False
        self.error: BaseException | None = None
        self.bell: Bell | None = None

    def settle(self) -> None:
        """Block until the events are durable, committing them if nobody else does; raises what kept them from it."""
        if not self.done:
            self._settle(self)
        if self.error is not None:
            raise self.error

    def succeed(self) -> None:
        """Tell who appended that it is on disk."""
        if self.then is not None:
            try:
                self.then()
            except Exception as error:
                log.exception("what follows a commit failed")
                self.error = error

    def fail(self, error: BaseException) -> None:
        self.error = error
        if self.failed is not None:
            try:
                self.failed(error)
            except Exception:
                log.exception("what follows a refused commit failed")
        self.end()

    def end(self) -> None:
        """Let whoever settles go on."""
        self.done = True
        if self.bell is not None:
            self.bell.ring()
