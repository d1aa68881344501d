"""The brake on guessing tokens: who fails often must wait, twice as long each time, up to a quarter of an hour.

Counted per address, in memory, bounded.  The first ``FREE`` failures cost nothing, so that a person may mistype.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

import msgspec

from engine.kernel.clock import Clock
from engine.kernel.errors import HoldfastError

FREE = 5
FIRST, LONGEST = 2.0, 900.0
#: seconds without a failure after which all is forgotten
FORGET = 3600.0
ADDRESSES = 10_000


class TooManyFailures(HoldfastError):
    """Too many wrong tokens came from this address; ``retry_after`` says how many seconds to wait."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"too many failed sign-ins from this address; try again in {retry_after:.0f} s")
        self.retry_after = retry_after


class _Count(msgspec.Struct):
    failures: int = 0
    last: float = 0.0
    until: float = 0.0


class Brake:
    """Counts failures per address."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def check(self, address: str) -> None:
        """Raise ``TooManyFailures`` while the address has to wait."""
        count = self._counts.get(address)
        left = count.until - self._clock.monotonic() if count else 0.0
        if left > 0:
            raise TooManyFailures(max(1.0, left))

    def failed(self, address: str) -> None:
        """Count a failure."""
        now = self._clock.monotonic()
        with self._lock:
            count = self._counts.pop(address, None)
            if count is None or now - count.last > FORGET:
                count = _Count()
            count.failures, count.last = count.failures + 1, now
            if count.failures > FREE:
                count.until = now + min(LONGEST, FIRST * 2.0 ** min(count.failures - FREE - 1, 20))
            self._counts[address] = count
            while len(self._counts) > ADDRESSES:
                self._counts.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Forget the failures of an address."""
        with self._lock:
            self._counts.pop(address, None)
