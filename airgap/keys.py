"""The key ring: random data keys with ids, wrapped by a key-encryption key that comes from elsewhere.

``ring.json`` holds the wrapped keys, which of them seals, the node's name and its incarnation; a check value over all of
it tells a wrong key-encryption key or a changed file before anything is touched.  Keys that no entry names any more are
dropped by ``retire``.  A ring is only ever replaced as a whole file.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from airgap.disk import make_private
from airgap.segment import KEY_ID_BYTES, NONCE_BYTES, Sealer
from airgap.unlocking import (
    KEY_BYTES,
    Stretching,
    forget_file,
    from_environment,
    from_file,
    from_passphrase,
    new_stretching,
    write_private,
)
from engine.kernel import faults
from engine.kernel.errors import SettingsError, StoreDamaged

RING_FILE = "ring.json"
VERSION = 1


class RingFile(msgspec.Struct, frozen=True):
    """What is written; nothing in it is secret without the key-encryption key."""

    version: int
    node: str
    incarnation: int
    source: str
    active: str
    #: id -> nonce and wrapped key
    keys: dict[str, bytes]
    stretching: Stretching | None = None
    #: seal over all the rest
    check: bytes = b""
    #: number of the last segment that was sealed before the active key came
    since: int = 0
    #: name -> nonce and wrapped secret: what else must be as safe as the keys
    secrets: dict[str, bytes] = {}


class KeyExport(msgspec.Struct, frozen=True):
    """Opened keys for a process that only reads; travels over a pipe, never over a disk."""

    node: str
    active: str
    keys: dict[str, bytes]

    def sealer(self) -> Sealer:
        return Sealer(self.node, self.keys, self.active)


class KeyRing:
    """An opened ring.  Not thread-safe: the journal's keeper and owner change it one at a time."""

    def __init__(self, folder: Path, wrapper: bytes, file: RingFile, keys: Mapping[str, bytes]) -> None:
        self.folder = folder
        self._wrapper = AESGCM(wrapper)
        self._file = file
        self._keys = dict(keys)

    @classmethod
    def open(cls, folder: Path, source: str, secret: str | None = None, *, make: bool = True) -> KeyRing:
        """Open the ring in ``folder``, or make one if there is none and ``make``.

        ``SettingsError`` if the ring is opened by another source, ``StoreDamaged`` if the key does not fit.
        """
        make_private(folder)
        path = folder / RING_FILE
        if path.exists():
            return cls._unlock(folder, _read(path), source, secret)
        if make:
            return cls._make(folder, source, secret)
        raise StoreDamaged(
            f"{path}: the key ring is missing, but the store beside it is sealed with it. "
            "Restore keys/ from a backup, or move airgap/ away to start empty"
        )

    @property
    def node(self) -> str:
        return self._file.node

    @property
    def incarnation(self) -> int:
        return self._file.incarnation

    @property
    def active(self) -> str:
        return self._file.active

    @property
    def since(self) -> int:
        return self._file.since

    @property
    def source(self) -> str:
        return self._file.source

    @property
    def ids(self) -> list[str]:
        """Ids of all keys, the sealing one first."""
        return [self.active, *(name for name in self._keys if name != self.active)]

    def sealer(self) -> Sealer:
        return Sealer(self.node, self._keys, self.active)

    def export_for_reader(self) -> bytes:
        """The opened keys, for the standard input of a reading process."""
        return msgspec.msgpack.encode(KeyExport(self.node, self.active, self._keys))

    def rotate(self, since: int = 0) -> str:
        """Seal with a new key from segment ``since`` on; the old ones stay until they are retired.  Returns its id."""
        name, key = _new_key(self._keys)
        keys = {**self._file.keys, name: self._wrap(name, key)}
        self._keys = {**self._keys, name: key}  # before it is active: another thread may ask for a sealer meanwhile
        self._write(msgspec.structs.replace(self._file, keys=keys, active=name, since=since))
        faults.reached("rotate.after_key")
        return name

    def secret(self, name: str, make: Callable[[], bytes]) -> bytes:
        """A secret that is kept with the keys, made when first asked for."""
        wrapped = self._file.secrets.get(name)
        if wrapped is not None:
            return self._unwrap(f"secret {name}", wrapped)
        value = make()
        kept = {**self._file.secrets, name: self._wrap(f"secret {name}", value)}
        self._write(msgspec.structs.replace(self._file, secrets=kept))
        return value

    def retire(self, used: Iterable[str]) -> list[str]:
        """Forget keys that are neither active nor ``used``; returns their ids."""
        keep = {self.active, *used}
        gone = [name for name in self._keys if name not in keep]
        if gone:
            left = {name: wrapped for name, wrapped in self._file.keys.items() if name not in gone}
            self._write(msgspec.structs.replace(self._file, keys=left))
            self._keys = {name: key for name, key in self._keys.items() if name not in gone}
        return gone

    def begin_incarnation(self) -> int:
        """Count up: the log starts anew or has lost something, so its event numbers may repeat."""
        self._write(msgspec.structs.replace(self._file, incarnation=self.incarnation + 1))
        return self.incarnation

    def rewrap(self, source: str, secret: str | None = None) -> None:
        """Have the ring opened by another source, or by another passphrase or key, from now on.

        A key file is made anew, and the one of a ring that it opens no longer is deleted: an older copy of it opens
        older copies of the ring only.  ``SettingsError`` if the file is to be replaced by itself.
        """
        if source == self.source == "file":
            raise SettingsError(f"key_source: {self.folder / RING_FILE} is opened by a file already")
        if source == "file":
            forget_file(self.folder)
        stretching = new_stretching() if source == "passphrase" else None
        opened = {f"secret {name}": self._unwrap(f"secret {name}", kept) for name, kept in self._file.secrets.items()}
        self._wrapper = AESGCM(_wrapping_key(self.folder, source, secret, stretching, make=True))
        keys = {name: self._wrap(name, key) for name, key in self._keys.items()}
        kept = {name.removeprefix("secret "): self._wrap(name, value) for name, value in opened.items()}
        changed = {"source": source, "stretching": stretching, "keys": keys, "secrets": kept}
        self._write(msgspec.structs.replace(self._file, **changed))
        if source != "file":
            forget_file(self.folder)

    @classmethod
    def _make(cls, folder: Path, source: str, secret: str | None) -> KeyRing:
        stretching = new_stretching() if source == "passphrase" else None
        wrapper = _wrapping_key(folder, source, secret, stretching, make=True)
        name, key = _new_key({})
        file = RingFile(VERSION, secrets.token_hex(8), 1, source, name, {}, stretching)
        ring = cls(folder, wrapper, file, {name: key})
        ring._write(msgspec.structs.replace(file, keys={name: ring._wrap(name, key)}))
        return ring

    @classmethod
    def _unlock(cls, folder: Path, file: RingFile, source: str, secret: str | None) -> KeyRing:
        if file.source != source:
            raise SettingsError(
                f"key_source: {folder / RING_FILE} is opened by {file.source}, settings say {source}; "
                f"start with HOLDFAST_KEY_SOURCE={file.source}"
            )
        wrapper = _wrapping_key(folder, source, secret, file.stretching, make=False)
        ring = cls(folder, wrapper, file, {})
        try:
            ring._wrapper.decrypt(file.check[:NONCE_BYTES], file.check[NONCE_BYTES:], _content(file))
            ring._keys = {name: ring._unwrap(name, wrapped) for name, wrapped in file.keys.items()}
        except (InvalidTag, ValueError):
            raise StoreDamaged(_wrong_key(folder / RING_FILE, source)) from None
        return ring

    def _wrap(self, name: str, key: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._wrapper.encrypt(nonce, key, _bind(self._file.node, name))

    def _unwrap(self, name: str, wrapped: bytes) -> bytes:
        return self._wrapper.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _bind(self._file.node, name))

    def _write(self, file: RingFile) -> None:
        nonce = os.urandom(NONCE_BYTES)
        check = nonce + self._wrapper.encrypt(nonce, b"", _content(file))
        self._file = msgspec.structs.replace(file, check=check)
        write_private(self.folder / RING_FILE, msgspec.json.format(msgspec.json.encode(self._file)))


def _wrapping_key(folder: Path, source: str, secret: str | None, how: Stretching | None, *, make: bool) -> bytes:
    if source == "file":
        return from_file(folder, make=make)
    if secret is None:
        raise SettingsError(
            f"{'passphrase' if source == 'passphrase' else 'key'}: needed to open {folder}, none was given"
        )
    if source == "environment":
        return from_environment(secret)
    if how is None:
        raise StoreDamaged(f"{folder / RING_FILE}: it says passphrase but not how that becomes a key; restore keys/")
    return from_passphrase(secret, how)


def _new_key(taken: Mapping[str, bytes]) -> tuple[str, bytes]:
    name = secrets.token_hex(KEY_ID_BYTES)
    return (name, os.urandom(KEY_BYTES)) if name not in taken else _new_key(taken)


def _bind(node: str, name: str) -> bytes:
    return f"holdfast|key|{node}|{name}".encode()


def _content(file: RingFile) -> bytes:
    """What the check is over; a ring without secrets is written and checked as it was before there were any."""
    fields = msgspec.structs.asdict(msgspec.structs.replace(file, check=b""))
    if not file.secrets:
        del fields["secrets"]
    return msgspec.json.encode(fields, order="sorted")


def _read(path: Path) -> RingFile:
    try:
        file = msgspec.json.decode(path.read_bytes(), type=RingFile)
    except msgspec.MsgspecError as error:
        raise StoreDamaged(f"{path}: no key ring ({error}); restore keys/ from a backup") from None
    if file.version != VERSION or file.active not in file.keys:
        raise StoreDamaged(
            f"{path}: a key ring of version {file.version}, this Holdfast reads {VERSION}; use a newer one"
        )
    return file


def _wrong_key(path: Path, source: str) -> str:
    mend = {
        "file": "restore master.key and ring.json together from a backup",
        "passphrase": "set HOLDFAST_PASSPHRASE to the passphrase that this home was made with",
        "environment": "set HOLDFAST_KEY to the key that this home was made with",
    }[source]
    return (
        f"{path}: the {'key' if source != 'passphrase' else 'passphrase'} does not open it; nothing was changed. {mend}"
    )
