"""Takes secrets out of what goes into history.

By the name of a key (``password``, ``api_key``, …) and by the look of a text (userinfo and secrets in URLs, bearer tokens,
JWTs, cloud keys, PEM blocks, ``password=…`` in a message).  Most texts hold nothing of the kind: a scan for a few needles
over the raw bytes decides whether to look closer, so that a harmless payload costs some 15 ns a byte.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

MASK = "[masked]"

#: no secret is named or shaped without one of these in lower case; a JSON escape could hide any of them
_NEEDLES = re.compile(
    rb"passw|passp|pwd|secret|token|key|auth|cookie|credential|bearer|basic |session|eyj|akia|asia|cv[vc]|card|gh[pousr]_|"
    rb"github_pat|xox|sk[-_]|sig|://|begin |\\u|\\/"
)

_WORDS = (
    r"passw(?:or)?d|passwd|passphrase|pwd|secret|token|api[_\-. ]?key|access[_\-. ]?key|private[_\-. ]?key|signing[_\-. ]?key|"
    r"encryption[_\-. ]?key|authorization|cookie|credentials?|session[_\-. ]?(?:id|key)|card[_\-. ]?number|cvv|cvc"
)
_KEY = re.compile(rf"(?:{_WORDS})|\A(?:auth|pass|sig|signature)\Z", re.IGNORECASE)
#: names that speak of a secret and are none: ``secret_name``, ``token_type``, ``max_tokens``
_HARMLESS = re.compile(
    r"(?:name|type|url|uri|count|limit|ttl|expires(?:[_-]?(?:at|in))?|budget|used|hint|path|file)\Z|tokens\Z",
    re.IGNORECASE,
)

_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)", re.DOTALL
        ),
        MASK,
    ),
    (re.compile(r"([a-zA-Z][a-zA-Z0-9+.\-]{0,30}://)[^\s/@?#\"'<>]{1,500}@"), rf"\1{MASK}@"),
    (
        re.compile(
            rf"([?&;][\w.\-]{{0,60}}(?:{_WORDS}|sig|signature|auth)[\w.\-]{{0,60}}=)[^&\s#\"'<>]+", re.IGNORECASE
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=\-]{8,}", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(r"\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]*)?"), MASK),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), MASK),
    (re.compile(r"\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|xox[abeoprs]-[\w\-]{10,}|sk[-_][\w\-]{20,})"), MASK),
    (
        re.compile(
            rf"((?:\b|_)(?:{_WORDS})[\"']?\s{{0,4}}[:=]\s{{0,4}})(?!\s)(?:\"[^\"\n]*\"|'[^'\n]*'|(?!{re.escape(MASK)}|Bearer\b|Basic\b)[^\s,;&)}}\]\"']+)",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
)


def suspicious(raw: bytes) -> bool:
    """Whether a closer look is due."""
    return _NEEDLES.search(raw.lower()) is not None


def is_secret_name(name: str) -> bool:
    """Whether a value under this key is kept out of history."""
    return _KEY.search(name) is not None and _HARMLESS.search(name) is None


def mask_text(text: str) -> str:
    """``text`` with everything that looks like a secret replaced."""
    if not suspicious(text.encode("utf-8", "replace")):
        return text
    for pattern, replacement in _SHAPES:
        text = pattern.sub(replacement, text)
    return text


def storable(text: str, most: int) -> str:
    """Text as it may be stored: without secrets and zero bytes, cut to ``most`` characters."""
    return mask_text(text.replace("\0", "\N{REPLACEMENT CHARACTER}"))[:most] if text else ""


def mask_value(value: Any) -> Any:
    """A JSON value with secrets replaced; numbers and booleans stay, also under a secret's name."""
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, list):
        return [mask_value(item) for item in value]
    if isinstance(value, dict):
        return {key: _mask_entry(key, item) for key, item in value.items()}
    return value


def _mask_entry(key: str, value: Any) -> Any:
    if value and isinstance(value, str | list | dict) and is_secret_name(key):
        return MASK
    return mask_value(value)


def mask_json(raw: bytes) -> bytes:
    """JSON with secrets replaced; the very same object where there are none.  Raises ``msgspec.DecodeError`` on no JSON."""
    if not suspicious(raw):
        return raw
    value = msgspec.json.decode(raw)
    masked = mask_value(value)
    return raw if masked == value else msgspec.json.encode(masked)
