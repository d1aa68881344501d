"""Small files that only this user may read: hashes of tokens, sessions, the cookie secret.

A file is replaced in one step (written beside, synced, renamed), so that a kill leaves the old or the new one.  One that
cannot be read as JSON is set aside as ``….broken`` rather than guessed at, and the caller starts with nothing: for
tokens and sessions that means people sign in anew, never that somebody gets in.
"""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from typing import TypeVar

import msgspec

log = logging.getLogger("holdfast.console")

T = TypeVar("T")


def read(path: Path, form: type[T]) -> T | None:
    """What the file holds, or ``None`` if there is none or it is broken."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=form)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        broken = path.with_suffix(path.suffix + ".broken")
        os.replace(path, broken)
        log.error("%s could not be read (%s) and was set aside as %s", path, error, broken.name)
        return None


def write(path: Path, value: object) -> None:
    """Replace the file by ``value`` as JSON."""
    write_bytes(path, msgspec.json.format(msgspec.json.encode(value)))


def write_bytes(path: Path, content: bytes) -> None:
    """Replace the file, readable by its owner only (``mkstemp`` makes it so)."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
