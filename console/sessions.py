"""Sessions: who is signed in with a browser.

The cookie carries a random id, signed; here stands what it means.  Ids are kept as hashes in ``keys/sessions.json`` so that a
restart signs nobody out, and an id that is not in the list is worth nothing: signing out, revoking the token or time ends
a session at once, also for sockets that are open (``on_end``).
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from console import private
from console.tokens import TokenBook
from engine.kernel.clock import Clock


class Session(msgspec.Struct, frozen=True):
    """One sign-in; ``token`` is the name of the token it was made with, ``digest`` that token's hash at the time."""

    token: str
    digest: str
    expires_at: float


def key_of(sid: str) -> str:
    """What is kept instead of a session's id."""
    return hashlib.sha256(sid.encode()).hexdigest()


class Sessions:
    """All sessions of one home."""

    def __init__(self, folder: Path, clock: Clock, hours: float) -> None:
        self._path = folder / "sessions.json"
        self._clock = clock
        self._seconds = hours * 3600
        self._lock = threading.Lock()
        self._open = private.read(self._path, dict[str, Session]) or {}
        self._ends: list[Callable[[str], None]] = []

    def on_end(self, callback: Callable[[str], None]) -> None:
        """Call ``callback`` with the key of every session that is ended before its time."""
        self._ends.append(callback)

    def begin(self, name: str, digest: str) -> str:
        """Start a session and return its id, which goes into the cookie."""
        sid = secrets.token_urlsafe(32)
        now = self._clock.now()
        with self._lock:
            kept = {key: session for key, session in self._open.items() if session.expires_at > now}
            self._keep({**kept, key_of(sid): Session(name, digest, now + self._seconds)})
        return sid

    def find(self, key: str, tokens: TokenBook) -> Session | None:
        """The session of that key if it lasts and its token is still the same."""
        session = self._open.get(key)
        if session is None or session.expires_at <= self._clock.now():
            return None
        token = tokens.named(session.token)
        return session if token is not None and token.digest == session.digest else None

    def end(self, sid: str) -> None:
        """Sign out."""
        self._end({key_of(sid)})

    def end_of_token(self, name: str) -> None:
        """Sign out everyone who came in with a token."""
        self._end({key for key, session in self._open.items() if session.token == name})

    def _end(self, keys: set[str]) -> None:
        with self._lock:
            ended = keys & self._open.keys()
            if ended:
                self._keep({key: session for key, session in self._open.items() if key not in ended})
        for key in ended:
            for callback in self._ends:
                callback(key)

    def _keep(self, sessions: dict[str, Session]) -> None:
        private.write(self._path, sessions)
        self._open = sessions
