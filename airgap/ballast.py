"""Ballast: some room of the disk held back in a file, thrown away when the disk is full and outcomes must be written.

From then on only outcomes are taken, until there is room enough to hold it back again; so jobs that were accepted can be
worked off on a disk that somebody else has filled.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

#: bytes held back, less for a small store
SIZE = 8 * 2**20


class Ballast:
    """Not thread-safe: used by who holds the lead."""

    def __init__(self, path: Path, store_limit: int) -> None:
        self.path = path
        self.size = min(SIZE, store_limit // 16)
        #: whether the room is held back
        self.held = False

    def hold(self) -> bool:
        """Hold the room back if it is there; whether it is held."""
        if not self.held:
            try:
                self._allocate()
            except OSError:
                self.drop()
            else:
                self.held = True
        return self.held

    def restore(self) -> bool:
        """``hold`` again once the disk has room for twice as much, so that it does not come and go."""
        return self.held or (shutil.disk_usage(self.path.parent).free >= 2 * self.size and self.hold())

    def drop(self) -> None:
        """Give the room free."""
        self.held = False
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    def refusal(self) -> str:
        """What to tell someone whose job was refused because the room is not held back."""
        return (
            f"{self.path.parent}: its disk is full, the last {self.size:,} bytes are kept for outcomes; "
            f"free at least {2 * self.size:,} bytes on it"
        )

    def _allocate(self) -> None:
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(handle, 0, self.size)
            else:  # macOS
                os.write(handle, bytes(self.size))
        finally:
            os.close(handle)
