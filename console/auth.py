"""Who may come in: one door for tokens, sessions and sign-in links.

``Access`` turns what a connection shows (a Bearer token, or a session cookie whose signature ``SessionMiddleware`` has
checked) into an ``Actor``.  A sign-in link carries a code of its own that works once and for ten minutes, never a token.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from pathlib import Path

from starlette.requests import HTTPConnection

from console import private
from console.actions.actor import Actor, Forbidden
from console.brake import Brake
from console.sessions import Sessions, key_of
from console.tokens import ADMIN, COMMAND_LINE, Token, TokenBook, is_strong
from engine.kernel.clock import Clock
from engine.kernel.errors import HoldfastError

#: the field of the signed cookie that holds the session's id
COOKIE_FIELD = "holdfast"
#: seconds that a sign-in link works
LINK_SECONDS = 600.0


class SignedOut(HoldfastError):
    """Nobody is signed in here, or no more."""


class Access:
    """Tokens, sessions and sign-in codes of one home."""

    def __init__(
        self, home: Path, clock: Clock, *, admin_token: str | None = None, session_hours: float = 12.0
    ) -> None:
        folder = home / "keys"
        self._clock = clock
        self._lock = threading.Lock()
        self._codes: dict[str, float] = {}
        self.tokens = TokenBook(folder, clock, admin_token)
        self.sessions = Sessions(folder, clock, session_hours)
        self.brake = Brake(clock)
        self.session_seconds = int(session_hours * 3600)
        #: signs the cookies
        self.secret = _secret(folder / "cookie-secret")

    @property
    def first_token(self) -> str | None:
        """The administrator's token if this start has made it: print it, it is shown once."""
        return self.tokens.first_token

    def sign_in_link(self, base: str) -> str:
        """``<base>/login?token=…``: signs in once, within ten minutes."""
        code = secrets.token_urlsafe(24)
        now = self._clock.monotonic()
        with self._lock:
            self._codes = {known: until for known, until in self._codes.items() if until > now}
            self._codes[code] = now + LINK_SECONDS
        return f"{base.rstrip('/')}/login?token={code}"

    def sign_in(self, shown: str, address: str, *, link: bool = False) -> str | None:
        """A session's id for a token, or with ``link`` for the code of a sign-in link; ``None`` if it is wrong.

        Raises ``TooManyFailures`` for an address that guesses, ``Forbidden`` for a tenant's token.
        """
        self.brake.check(address)
        token = self._by_link(shown) if link else self.tokens.find(shown)
        if token is None:
            self.brake.failed(address)
            return None
        if token.tenant is not None:
            raise Forbidden(f"the token {token.name} belongs to tenant {token.tenant}; the console shows all tenants")
        self.brake.succeeded(address)
        return self.sessions.begin(token.name, token.digest)

    def _by_link(self, code: str) -> Token | None:
        return self.tokens.named(ADMIN) if self._redeem(code) else None

    def _redeem(self, shown: str) -> bool:
        with self._lock:
            code = next((known for known in self._codes if hmac.compare_digest(known.encode(), shown.encode())), None)
            return code is not None and self._codes.pop(code) > self._clock.monotonic()

    def bearer(self, token: str, address: str) -> Actor | None:
        """Who a Bearer token stands for.  Raises ``TooManyFailures`` for an address that guesses."""
        found = self.tokens.find(token)
        if found is not None and is_strong(token):  # nobody guesses these, so a guesser next door shuts no program out
            return found.actor("cli" if found.name == COMMAND_LINE else "api")
        place = f"api {address}"
        self.brake.check(place)
        if found is None:
            self.brake.failed(place)
            return None
        self.brake.succeeded(place)
        return found.actor("api")

    def session_actor(self, key: str) -> Actor | None:
        """Who a session stands for, by its key."""
        session = self.sessions.find(key, self.tokens) if key else None
        token = self.tokens.named(session.token) if session else None
        return token.actor("console") if token else None

    def actor(self, connection: HTTPConnection) -> Actor:
        """Who is behind a request; in a page: ``console.access.actor(ui.context.client.request)``.

        Raises ``SignedOut`` once the session has ended, also while the page's socket lives.
        """
        seen: Actor | None = connection.scope.get("state", {}).get("actor")
        if seen is not None and seen.via != "console":
            return seen
        actor = self.session_actor(session_key(connection))
        if actor is None:
            raise SignedOut("you are signed out; sign in again")
        return actor

    def revoke(self, name: str) -> None:
        """Make a token worthless and end its sessions."""
        self.tokens.revoke(name)
        self.sessions.end_of_token(name)


def sid_of(connection: HTTPConnection) -> str | None:
    """The session's id in the signed cookie of a connection."""
    sid = connection.scope.get("session", {}).get(COOKIE_FIELD)
    return sid if isinstance(sid, str) else None


def session_key(connection: HTTPConnection) -> str:
    """Names the session of a connection without giving its id away; "" if there is none."""
    sid = sid_of(connection)
    return key_of(sid) if sid else ""


def _secret(path: Path) -> str:
    """The cookie secret, made at first start."""
    if not path.exists():
        private.write_bytes(path, secrets.token_urlsafe(48).encode())
    return path.read_text("ascii")
