"""Reads one document, inside the child process: what is it, then the reader of that format.

The format is told by the first bytes, never by the name alone; the name only settles whether text is HTML.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import IO, Any

from plugins.catalog.documents.collected import Document, Report
from plugins.child_main import Refused

Reader = Callable[[IO[bytes], Document, dict[str, Any]], None]
HEAD = 4096
#: beginnings of files that people send and that hold no text we can take
KNOWN = {
    b"\xd0\xcf\x11\xe0": "an old Office file or one with a password; save it as .docx without a password",
    b"\x89PNG": "a picture (PNG); its text would need recognition",
    b"\xff\xd8\xff": "a picture (JPEG); its text would need recognition",
    b"GIF8": "a picture (GIF); its text would need recognition",
    b"II*\x00": "a picture (TIFF); its text would need recognition",
    b"MM\x00*": "a picture (TIFF); its text would need recognition",
    b"\x1f\x8b": "packed (gzip); unpack it first",
    b"7z\xbc\xaf": "packed (7z); unpack it first",
    b"Rar!": "packed (RAR); unpack it first",
    b"\x7fELF": "a program",
    b"MZ": "a program",
}


def read_document(request: dict[str, Any], source: IO[bytes], report: Report) -> dict[str, Any]:
    """The result of ``documents.extract``; ``Refused`` says in words why there can be none."""
    document = Document(request, report)
    digest = _sha256(source)
    kind, reader = _choose(source, request["name"])
    source.seek(0)
    reader(source, document, request)
    return document.result(kind, digest)


def _sha256(source: IO[bytes]) -> str:
    source.seek(0)
    return hashlib.file_digest(source, "sha256").hexdigest()  # type: ignore[arg-type]


def _choose(source: IO[bytes], name: str) -> tuple[str, Reader]:
    source.seek(0)
    head = source.read(HEAD)
    if b"%PDF-" in head[:1024]:
        from plugins.catalog.documents.pdf import read_pdf

        return "pdf", read_pdf
    if head.startswith(b"PK"):
        from plugins.catalog.documents.docx import read_docx

        return "docx", read_docx
    _refuse_known(head)
    return _text_or_html(head, name)


def _refuse_known(head: bytes) -> None:
    for beginning, what in KNOWN.items():
        if head.startswith(beginning):
            raise Refused(f"the document cannot be read: it is {what}")


def _text_or_html(head: bytes, name: str) -> tuple[str, Reader]:
    from plugins.catalog.documents.html import looks_like_html, read_html
    from plugins.catalog.documents.text import has_text, read_text

    if not has_text(head):
        raise Refused("the document cannot be read: it is neither PDF, Word (.docx), HTML nor text")
    return ("html", read_html) if looks_like_html(head, name) else ("text", read_text)
