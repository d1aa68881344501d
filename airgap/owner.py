"""One owner per home: a file lock that names who holds it.

The lock is the kernel's (``flock``), so it goes with its process however that dies, and it is not passed on to children.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from pathlib import Path

import msgspec

from engine.kernel.clock import iso
from engine.kernel.errors import StoreOwned


class Owner(msgspec.Struct, frozen=True):
    """Who holds a home."""

    pid: int
    host: str
    #: wall time at which it took the home
    since: float


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def read_owner(path: Path) -> Owner | None:
    """What the lock file says; the owner may be gone."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Owner)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


class OwnerLock:
    """Held from ``acquire`` to ``release`` or the death of the process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None
        os.register_at_fork(after_in_child=self._forget)

    def acquire(self, now: float) -> None:
        """Take the lock or raise ``StoreOwned`` naming its holder."""
        handle = _open(self.path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise StoreOwned(self._who()) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, msgspec.json.encode(Owner(os.getpid(), socket.gethostname(), now)), 0)
        self._handle = handle

    def release(self) -> None:
        """Let go; does nothing if it is not held."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.ftruncate(handle, 0)
            os.close(handle)

    def _who(self) -> str:
        owner = read_owner(self.path)
        holder = f"process {owner.pid} on {owner.host} since {iso(owner.since)}" if owner else "another process"
        return f"{self.path.parent}: in use by {holder}; stop it first, or give this one a --home of its own"

    def _forget(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            with contextlib.suppress(OSError):
                os.close(handle)


def current_owner(path: Path) -> Owner | None:
    """Who holds the lock right now; ``None`` if nobody does."""
    if not path.exists():
        return None
    handle = _open(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return read_owner(path)
    finally:
        os.close(handle)
    return None
