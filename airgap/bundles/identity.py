"""Who this home is: its private keys, kept with the key ring and never in clear on disk."""

from __future__ import annotations

import os

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from airgap.bundles.cards import KEY_BYTES, Card
from airgap.bundles.sealing import Wrapped, unwrap
from airgap.keys import KeyRing

#: name of the secret in the ring
SECRET = "identity"


class Identity:
    """Signs and opens bundles."""

    def __init__(self, private: bytes, name: str) -> None:
        self._signing = Ed25519PrivateKey.from_private_bytes(private[:KEY_BYTES])
        self._sealing = X25519PrivateKey.from_private_bytes(private[KEY_BYTES:])
        self.card = Card(
            name, self._signing.public_key().public_bytes_raw(), self._sealing.public_key().public_bytes_raw()
        )

    def __repr__(self) -> str:
        return f"<identity {self.card.fingerprint}>"

    def sign(self, digest: bytes) -> bytes:
        """The signature over a digest."""
        return self._signing.sign(digest)

    def open(self, wrapped: Wrapped, bundle: str) -> bytes:
        """The content key that was wrapped to this home.  Raises ``BundleRefused``."""
        return unwrap(self._sealing, wrapped, bundle)


def identity_of(ring: KeyRing, name: str) -> Identity:
    """The identity of the home whose keys are in ``ring``; made when first asked for."""
    return Identity(ring.secret(SECRET, lambda: os.urandom(2 * KEY_BYTES)), name)
