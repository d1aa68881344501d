"""Tokens: what a program shows to be let in, and a person to sign in.

A token is 256 random bits; only its SHA-256 is kept, under ``keys/tokens.json``, with a name, a role and maybe a tenant.
The administrator's token is made at first start, or fixed by the settings and then kept nowhere.  A token for this user's
own command line is made at each start in ``keys/cli-token``.  Finding a token compares whole hashes in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from pathlib import Path

import msgspec

from console import private
from console.actions.actor import ROLES, Actor
from engine.kernel.clock import Clock
from engine.kernel.errors import Conflict, NotFound, ValidationError
from engine.kernel.job import check_name

PREFIX = "hf_"
ADMIN = "admin"
COMMAND_LINE = "command-line"


class Token(msgspec.Struct, frozen=True):
    """What is kept of a token."""

    #: unique, shown in lists and in the audit
    name: str
    #: SHA-256, hexadecimal
    digest: str
    role: str
    tenant: str | None = None
    created_at: float = 0.0

    def actor(self, via: str) -> Actor:
        """Who acts with it."""
        return Actor(self.name, self.role, self.tenant, via)


def digest(token: str) -> str:
    """What is kept instead of the token; the token is random, so it needs no salt and no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_strong(token: str) -> bool:
    """Whether it looks like one made here, which nobody can guess."""
    return token.startswith(PREFIX) and len(token) >= len(PREFIX) + 43


def fresh() -> str:
    """A new token."""
    return PREFIX + secrets.token_urlsafe(32)


class TokenBook:
    """All tokens of one home."""

    def __init__(self, folder: Path, clock: Clock, admin_token: str | None = None) -> None:
        self._path = folder / "tokens.json"
        self._clock = clock
        self._lock = threading.Lock()
        self._kept = {token.name: token for token in private.read(self._path, list[Token]) or []}
        self._passing: dict[str, Token] = {}
        #: the administrator's token if it was made just now: to be shown once
        self.first_token: str | None = None
        self._admit_admin(admin_token)
        self._admit_command_line(folder / "cli-token")

    def _admit_admin(self, given: str | None) -> None:
        if given is not None:
            self._kept.pop(ADMIN, None)
            self._passing[ADMIN] = self._record(ADMIN, given, "admin")
        elif ADMIN not in self._kept:
            self.first_token = self.create(ADMIN, "admin")

    def _admit_command_line(self, path: Path) -> None:
        token = fresh()
        private.write_bytes(path, token.encode())
        self._passing[COMMAND_LINE] = self._record(COMMAND_LINE, token, "admin")

    def _record(self, name: str, token: str, role: str, tenant: str | None = None) -> Token:
        return Token(name, digest(token), role, tenant, self._clock.now())

    def create(self, name: str, role: str, tenant: str | None = None) -> str:
        """Make a token and return it; it cannot be read again.  Raises ``ValidationError``, ``Conflict``."""
        check_name(name, "name")
        if role not in ROLES:
            raise ValidationError(f"role: expected one of {', '.join(ROLES)}, got {role!r:.40}", "role")
        if tenant is not None:
            check_name(tenant, "tenant")
        token = fresh()
        with self._lock:
            if name in self._kept or name in self._passing:
                raise Conflict(f"there is a token named {name!r}; revoke it first")
            self._keep({**self._kept, name: self._record(name, token, role, tenant)})
        return token

    def revoke(self, name: str) -> None:
        """Make a token worthless from now on.  Raises ``NotFound``, or ``Conflict`` for one that is not kept here."""
        with self._lock:
            if name in self._passing:
                raise Conflict(f"the token {name!r} comes from the settings or the start and cannot be revoked")
            if name not in self._kept:
                raise NotFound(f"there is no token {name!r}")
            self._keep({key: token for key, token in self._kept.items() if key != name})

    def _keep(self, tokens: dict[str, Token]) -> None:
        private.write(self._path, list(tokens.values()))
        self._kept = tokens

    def list(self) -> list[Token]:
        """All tokens, without what they open with."""
        return [*self._passing.values(), *self._kept.values()]

    def find(self, token: str) -> Token | None:
        """Whose token this is."""
        shown = digest(token)
        return next((known for known in self.list() if hmac.compare_digest(known.digest, shown)), None)

    def named(self, name: str) -> Token | None:
        """The token of that name, if it is still good."""
        return self._passing.get(name) or self._kept.get(name)
