"""Where the key that opens the key ring comes from: a file, a passphrase, or a key that was handed in.

Each source turns into 32 bytes, the key-encryption key; nothing here is ever logged or written, save the file source's
own key file, made at first start.
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from engine.kernel.errors import SettingsError, StoreDamaged

KEY_BYTES = 32
KEY_FILE = "master.key"


class Stretching(msgspec.Struct, frozen=True):
    """How a passphrase becomes a key (argon2id, RFC 9106); kept beside the ring."""

    salt: bytes
    #: KiB
    memory: int = 64 * 1024
    passes: int = 3
    lanes: int = 4


def new_stretching() -> Stretching:
    return Stretching(os.urandom(16))


def from_passphrase(passphrase: str, how: Stretching) -> bytes:
    """About 0.2 s and 64 MiB, on purpose."""
    stretch = Argon2id(salt=how.salt, length=KEY_BYTES, iterations=how.passes, lanes=how.lanes, memory_cost=how.memory)
    return stretch.derive(passphrase.encode())


def from_environment(text: str) -> bytes:
    """32 bytes in base64, plain or URL-safe."""
    try:
        key = base64.b64decode(text.strip().replace("-", "+").replace("_", "/") + "==")
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise SettingsError("key: expected 32 bytes in base64; make one with: openssl rand -base64 32")
    return key


def from_file(folder: Path, *, make: bool) -> bytes:
    """The key in ``folder``; with ``make`` it is made if it is not there."""
    path = folder / KEY_FILE
    if make and not path.exists():
        write_private(path, os.urandom(KEY_BYTES))
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        raise StoreDamaged(
            f"{path}: missing; without it the store cannot be opened. Restore it from a backup"
        ) from None
    if len(key) != KEY_BYTES:
        raise StoreDamaged(f"{path}: expected {KEY_BYTES} bytes, got {len(key)}; restore it from a backup")
    return key


def forget_file(folder: Path) -> None:
    """Delete the key in ``folder`` that opens nothing any more."""
    (folder / KEY_FILE).unlink(missing_ok=True)


def write_private(path: Path, content: bytes) -> None:
    """Replace a file so that after a crash it is the old one or the new one, readable by its owner only."""
    fresh = path.with_name(path.name + ".new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, content)
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(fresh, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
