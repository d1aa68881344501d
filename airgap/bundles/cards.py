"""The public card of a home: one line that says who it is, to be read out, mailed or carried.

``holdfast-node:1:<name>:<base64>``, where the last part is the key that its bundles are signed with (Ed25519), the key that
bundles for it are sealed to (X25519), and four bytes that find a mistyped letter.  Nothing in it is secret; what matters is
that the card that one trusts is the one that the other home showed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

import msgspec

from engine.kernel.errors import ValidationError
from engine.kernel.job import check_name

KIND, VERSION = "holdfast-node", "1"
KEY_BYTES, CHECK_BYTES = 32, 4


class Card(msgspec.Struct, frozen=True):
    """A home as others know it."""

    name: str
    signing: bytes
    sealing: bytes

    @property
    def fingerprint(self) -> str:
        """Names its signing key."""
        return fingerprint(self.signing)

    @property
    def sealing_id(self) -> str:
        """Names its sealing key."""
        return fingerprint(self.sealing)

    def line(self) -> str:
        """The card as text."""
        keys = self.signing + self.sealing
        return f"{KIND}:{VERSION}:{self.name}:{base64.urlsafe_b64encode(keys + _check(self.name, keys)).decode()}"


def fingerprint(key: bytes) -> str:
    """Sixteen hexadecimal digits that name a public key."""
    return hashlib.sha256(key).hexdigest()[:16]


def read_card(line: str) -> Card:
    """The card that a line is.  Raises ``ValidationError``."""
    parts = line.strip().split(":")
    if len(parts) != 4 or parts[0] != KIND:
        raise ValidationError(
            f"card: expected {KIND}:{VERSION}:<name>:<keys>, as ``airgap identity`` prints it", "card"
        )
    if parts[1] != VERSION:
        raise ValidationError(
            f"card: it is of version {parts[1]:.10}, this Holdfast reads {VERSION}; use a newer one", "card"
        )
    name = check_name(parts[2], "card.name")
    try:
        content = base64.urlsafe_b64decode(parts[3])
    except (binascii.Error, ValueError):
        content = b""
    keys, check = content[:-CHECK_BYTES], content[-CHECK_BYTES:]
    if len(keys) != 2 * KEY_BYTES or check != _check(name, keys):
        raise ValidationError("card: it was cut or mistyped; copy the whole line once more", "card")
    return Card(name, keys[:KEY_BYTES], keys[KEY_BYTES:])


def good_name(text: str) -> str:
    """A name for a card made of any text, such as a host's."""
    return re.sub(r"[^A-Za-z0-9._\-]+", "-", text).strip("-._")[:100] or "home"


def _check(name: str, keys: bytes) -> bytes:
    return hashlib.sha256(name.encode() + keys).digest()[:CHECK_BYTES]
