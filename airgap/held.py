"""Which leases of Redis this process knows of: what it claimed and has not written the ends of."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Set

from engine.kernel.events import AttemptEnded
from engine.storage.base import Claim
from engine.storage.lanes import REMOTE_TOKENS


class Held:
    """Tokens and the jobs they still hold.  Any thread."""

    def __init__(self) -> None:
        self._jobs: dict[int, int] = {}
        self._lock = threading.Lock()
        self._lost = ""
        self._least = 0

    def took(self, claim: Claim | None) -> Claim | None:
        """A claim was answered; ``None`` if what it holds was taken back before the answer came."""
        if claim is not None:
            with self._lock:
                if claim.token < self._least:
                    return None
                self._jobs[claim.token] = len(claim.jobs)
        return claim

    def ended(self, ends: Iterable[AttemptEnded]) -> None:
        """Ends are written down, or Redis has them."""
        with self._lock:
            for end in ends:
                if end.token >= REMOTE_TOKENS and end.token in self._jobs:
                    self._jobs[end.token] -= 1
                    if self._jobs[end.token] <= 0:
                        del self._jobs[end.token]

    def tokens(self) -> Set[int]:
        """All tokens that hold jobs."""
        with self._lock:
            return set(self._jobs)

    def close_below(self, token: int) -> Set[int]:
        """All tokens that hold jobs; answers that come later with a lower token than ``token`` count no more."""
        with self._lock:
            self._least = token
            return set(self._jobs)

    def lost(self, error: BaseException) -> None:
        """A claim was not answered: Redis may have leased jobs of which nobody knows."""
        self._lost = str(error) or "no answer"

    def take_lost(self) -> str:
        """Why a resync must take back what nobody knows of; "" if it need not.  Told once."""
        lost, self._lost = self._lost, ""
        return f"a claim was not answered: {lost}" if lost else ""
