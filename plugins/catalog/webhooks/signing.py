"""Signatures after Standard Webhooks (standardwebhooks.com): HMAC-SHA256 over ``id.timestamp.body``.

A secret is ``whsec_`` and base64, or any other text, which is taken as it is.  Two secrets with a space between them
sign both, so that a receiver can change over.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

PREFIX = "whsec_"


def signature_headers(secret: str, message_id: str, at: float, body: bytes) -> dict[str, str]:
    """The three headers.  ``ValueError`` if the secret is no good; the text doesn't hold it."""
    timestamp = str(int(at))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    signatures = [_sign(key_of(each), signed) for each in secret.split()]
    if not signatures:
        raise ValueError("the secret is empty")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{each}" for each in signatures),
    }


def key_of(secret: str) -> bytes:
    """The bytes to sign with."""
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"after {PREFIX} the secret is not base64") from None
    if not key:
        raise ValueError(f"after {PREFIX} the secret is empty")
    return key


def _sign(key: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
