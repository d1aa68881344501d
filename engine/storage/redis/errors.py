"""What Redis refuses, in our words.

A call that was left unanswered, or that Redis cannot take in its present state, is ``Unreachable``: the link treats both
alike.  A full Redis is ``StoreFull``.  Any other reply is ``HoldfastError`` with the reply as its text.  No message holds
a password: what Redis says while a connection is made goes through ``Target.masked``.
"""

from __future__ import annotations

import re

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import TimeoutError as DriverTimeout

from engine.kernel.errors import HoldfastError, StoreFull, Unreachable

#: the oldest Redis that has all that the scripts use
OLDEST = (6, 2)

#: the driver takes the code off some replies and tells them by class
_CODES: dict[type[BaseException], str] = {
    AuthenticationError: "WRONGPASS",
    BusyLoadingError: "LOADING",
    ClusterDownError: "CLUSTERDOWN",
    MasterDownError: "MASTERDOWN",
    NoPermissionError: "NOPERM",
    NoScriptError: "NOSCRIPT",
    OutOfMemoryError: "OOM",
    ReadOnlyError: "READONLY",
    TryAgainError: "TRYAGAIN",
}

#: code of a reply -> what it means and the mend
STATES = {
    "LOADING": "is still loading its data",
    "READONLY": "is a read-only replica; name its primary, or reach it through redis+sentinel://",
    "MISCONF": "takes no writes because it cannot save to its disk; make room there, or mend its rights",
    "MASTERDOWN": "is a replica that lost its primary",
    "NOREPLICAS": "takes no writes because too few replicas follow it (min-replicas-to-write)",
    "CLUSTERDOWN": "is a Cluster that is not whole",
    "TRYAGAIN": "is moving these keys to another node",
    "BUSY": "is held by a script that does not end; SCRIPT KILL ends it",
    "NOAUTH": "wants a password; set redis_password, and redis_username for an ACL user",
    "WRONGPASS": "refused the user or the password; check redis_username and redis_password",
    "NOPERM": "does not let this user do that; see docs/redis.md for what it needs",
}

_FULL = "is full (maxmemory); raise it or let jobs finish, and keep maxmemory-policy at noeviction"
_UNSIGNED = re.compile(r"required|HELLO must be called")
_INNER = re.compile(r"-(OOM|READONLY|MISCONF|NOREPLICAS|NOPERM|MASTERDOWN|CLUSTERDOWN|TRYAGAIN)\b")
_REDIRECT = re.compile(r"(?:(?:MOVED|ASK) )?(\d+) (.*):(\d+)\Z")


def code_of(error: BaseException) -> str:
    """The word that a reply begins with, also of a reply that a script met inside."""
    for kind, code in _CODES.items():
        if isinstance(error, kind):
            return "NOAUTH" if code == "WRONGPASS" and _UNSIGNED.search(str(error)) else code
    inner = _INNER.search(str(error))
    return inner[1] if inner else str(error).split(" ", 1)[0]


def translated(error: BaseException, address: str, what: str) -> HoldfastError:
    """The error of ours for one of the driver's.  ``what`` names the call: a script or a command."""
    if isinstance(error, HoldfastError):
        return error
    code = code_of(error)
    if code == "OOM":
        return StoreFull(f"Redis at {address} {_FULL} (at {what})")
    if code in STATES:
        told = f": {error}" if code == "NOPERM" else ""
        return Unreachable(f"Redis at {address} {STATES[code]} (at {what}{told})")
    if isinstance(error, DriverTimeout | TimeoutError):
        return Unreachable(f"Redis at {address} did not answer in time (at {what})")
    if _unanswered(error):
        return Unreachable(f"Redis at {address} did not answer (at {what}): {reason(error)}")
    return HoldfastError(f"Redis at {address} refused {what}: {error}")


def reason(error: BaseException) -> str:
    """Why a connection broke, in one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def redirection(error: object) -> tuple[int, str, int] | None:
    """Slot, host and port that a MOVED or ASK reply names; an empty host is the one that answered."""
    if type(error).__name__ not in {"MovedError", "AskError"} and not str(error).startswith(("MOVED ", "ASK ")):
        return None
    found = _REDIRECT.match(str(error))
    return (int(found[1]), found[2], int(found[3])) if found else None


def asks(error: object) -> bool:
    """Whether a redirection is for this one call only."""
    return type(error).__name__ == "AskError" or str(error).startswith("ASK ")


def _unanswered(error: BaseException) -> bool:
    """Whether no reply came; replies are ``ResponseError`` in the driver."""
    return isinstance(error, RedisError | OSError) and not isinstance(error, ResponseError)
