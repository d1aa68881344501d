"""A bell that one sleeper listens to: ringing it before, while or after the sleeper lies down wakes it once."""

from __future__ import annotations

import threading


class Bell:
    """An auto-reset event on one bare lock, the cheapest hand-over between two threads that Python has."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        """Wake the sleeper, now or when it next sleeps; ringing twice is ringing once."""
        if self._lock.locked():
            try:
                self._lock.release()
            except RuntimeError:  # another thread rang in between
                return

    def sleep(self, timeout: float) -> bool:
        """Sleep until the bell rings, ``timeout`` seconds at most; whether it rang."""
        return self._lock.acquire(timeout=timeout) if timeout > 0 else self._lock.acquire(blocking=False)
