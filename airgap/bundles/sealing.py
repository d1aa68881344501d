"""The cryptography of a bundle: a fresh content key per bundle, wrapped to each recipient, and chunks sealed with it.

Wrapping: a one-time X25519 key agrees with the recipient's, HKDF-SHA256 makes a key of that, AES-256-GCM wraps with it; all
is bound to the bundle and the recipient.  Chunks: AES-256-GCM with the chunk's number as nonce — the content key seals
one bundle only — bound to the header, and to whether the chunk is the last, so that none can be moved, swapped or left out.
"""

from __future__ import annotations

import os

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from airgap.bundles.cards import fingerprint
from engine.kernel.errors import BundleRefused

KEY_BYTES = 32
#: the nonce of a key that seals once
ONCE = bytes(12)


class Wrapped(msgspec.Struct, frozen=True, array_like=True):
    """A content key for one recipient."""

    #: names the recipient's sealing key
    recipient: str
    #: the one-time public key
    once: bytes
    sealed: bytes


def new_key() -> bytes:
    """A content key."""
    return os.urandom(KEY_BYTES)


def wrap(recipient: bytes, content_key: bytes, bundle: str) -> Wrapped:
    """The content key of a bundle for the holder of a sealing key."""
    once = X25519PrivateKey.generate()
    public = once.public_key().public_bytes_raw()
    wrapper = _wrapper(once.exchange(X25519PublicKey.from_public_bytes(recipient)), public + recipient)
    return Wrapped(
        fingerprint(recipient),
        public,
        AESGCM(wrapper).encrypt(ONCE, content_key, _bind(bundle, fingerprint(recipient))),
    )


def unwrap(private: X25519PrivateKey, wrapped: Wrapped, bundle: str) -> bytes:
    """The content key again.  Raises ``BundleRefused``."""
    own = private.public_key().public_bytes_raw()
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(wrapped.once))
        wrapper = _wrapper(shared, wrapped.once + own)
        return AESGCM(wrapper).decrypt(ONCE, wrapped.sealed, _bind(bundle, fingerprint(own)))
    except (InvalidTag, ValueError):
        raise BundleRefused("its key does not open with the key of this home; it was changed") from None


class ChunkSealer:
    """Seals and opens the chunks of one bundle, in any order."""

    def __init__(self, content_key: bytes, header: bytes) -> None:
        self._cipher = AESGCM(content_key)
        self._header = header

    def seal(self, number: int, body: bytes, *, last: bool) -> bytes:
        """One chunk."""
        return self._cipher.encrypt(_nonce(number), body, self._bind(last))

    def open(self, number: int, sealed: bytes, *, last: bool) -> bytes:
        """A chunk's body.  Raises ``BundleRefused``."""
        try:
            return self._cipher.decrypt(_nonce(number), sealed, self._bind(last))
        except (InvalidTag, ValueError):
            raise BundleRefused(f"part {number} does not open; it was changed") from None

    def _bind(self, last: bool) -> bytes:
        return self._header + (b"\x01" if last else b"\x00")


def _wrapper(shared: bytes, salt: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt, b"holdfast bundle 1 content key").derive(shared)


def _bind(bundle: str, recipient: str) -> bytes:
    return f"holdfast|bundle|{bundle}|{recipient}".encode()


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")
