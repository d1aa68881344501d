"""Ids of jobs that were deleted a moment ago.

History hears of a deletion a fraction of a second later; until then these ids keep a deleted job from being read once
more.  Bounded: the oldest are dropped, long after history has followed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

MOST = 50_000


class Forgotten:
    """A bounded set of ids."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: OrderedDict[str, None] = OrderedDict()

    def add(self, ids: Iterable[str]) -> None:
        """Forget these jobs."""
        with self._lock:
            self._ids.update(dict.fromkeys(ids))
            while len(self._ids) > MOST:
                self._ids.popitem(last=False)

    def __contains__(self, id: str) -> bool:
        return id in self._ids
