"""Plain text of any size, in whatever encoding it is in.

A byte order mark decides; else UTF-8 if the whole file is UTF-8; else what charset-normalizer makes of its beginning.
Bytes that don't fit become U+FFFD and a warning.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import IO, Any

from plugins.catalog.documents.collected import Document

CHUNK = 2**18
#: bytes of the beginning that the encoding is guessed from
SAMPLE = 2**17
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = bytes(set(range(32)) - {8, 9, 10, 12, 13, 27})


def has_text(head: bytes) -> bool:
    """Whether a file that begins so can be text: it has a mark, or hardly a control character."""
    if any(head.startswith(mark) for mark, _ in MARKS):
        return True
    return len(head) - len(head.translate(None, _CONTROLS)) <= len(head) // 200


def read_text(source: IO[bytes], document: Document, request: dict[str, Any]) -> None:
    """Add the whole text."""
    for piece in decoded(source, document, encoding_of(source, document)):
        document.add(piece)


def encoding_of(source: IO[bytes], document: Document) -> str:
    """The encoding of ``source``, which stands at its beginning again afterwards."""
    head = source.read(SAMPLE)
    source.seek(0)
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return encoding
    return "utf-8" if _is_utf8(source) else _guess(head, document)


def _is_utf8(source: IO[bytes]) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while chunk := source.read(CHUNK):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    finally:
        source.seek(0)
    return True


def _guess(head: bytes, document: Document) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(head).best()
    encoding = best.encoding if best else "cp1252"
    document.warn(f"the encoding is not stated and was taken to be {encoding}")
    return encoding


def decoded(source: IO[bytes], document: Document, encoding: str) -> Iterator[str]:
    """The text in pieces that end where a word does, telling how far it is."""
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    size, done, rest = max(1, _size(source)), 0, ""
    while chunk := source.read(CHUNK):
        done += len(chunk)
        piece, rest = _cut(rest + decoder.decode(chunk))
        yield _marked(piece, document)
        document.progress(done / size)
    yield _marked(rest + decoder.decode(b"", final=True), document)


def _size(source: IO[bytes]) -> int:
    here = source.tell()
    size = source.seek(0, 2)
    source.seek(here)
    return size


def _cut(text: str) -> tuple[str, str]:
    """``text`` up to its last space or line end, and the rest, unless one word is longer than a chunk."""
    at = max(text.rfind(" "), text.rfind("\n")) + 1
    return (text[:at], text[at:]) if at or len(text) < CHUNK else (text, "")


def _marked(text: str, document: Document) -> str:
    if "\ufffd" in text:
        document.warn("some bytes do not fit the encoding and were replaced")
    return text
