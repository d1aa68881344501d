"""PDF, page by page, with pypdf.

A page that cannot be read costs a warning, a file of which nothing can be read is refused.  pypdf bounds what one
packed stream may grow to; the child's limits on memory and CPU hold for the rest.
"""

from __future__ import annotations

import logging
from typing import IO, Any

from pypdf import PasswordType, PdfReader
from pypdf.errors import DependencyError, DeprecationError, PyPdfError

from plugins.catalog.documents.collected import Document, iso, paragraphs, said
from plugins.child_main import Refused

#: what pypdf's parts raise on broken input, beside its own errors
BROKEN = (PyPdfError, DeprecationError, ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, OSError,
          AssertionError, NotImplementedError, RecursionError, LookupError, EOFError, RuntimeError)  # fmt: skip


def read_pdf(source: IO[bytes], document: Document, request: dict[str, Any]) -> None:
    """Add the text of every page and the file's metadata."""
    _listen(document)
    try:
        reader = PdfReader(source, strict=False)
        _unlock(reader)
        pages = len(reader.pages)
    except BROKEN as error:
        raise Refused(f"the PDF is broken: {said(error)}") from error
    if not pages:
        raise Refused("the PDF has no pages; it is broken or empty")
    document.tell(pages=pages)
    _metadata(reader, document)
    _pages(reader, document, pages, request["max_pages"])


def _listen(document: Document) -> None:
    """Make warnings of what pypdf would log."""
    logger = logging.getLogger("pypdf")
    logger.handlers = [_Warnings(document)]
    logger.propagate = False


class _Warnings(logging.Handler):
    def __init__(self, document: Document) -> None:
        super().__init__(logging.WARNING)
        self._document = document

    def emit(self, record: logging.LogRecord) -> None:
        self._document.warn(f"PDF: {record.getMessage()}")


def _unlock(reader: PdfReader) -> None:
    """Many encrypted files open with the empty password; others we can't read."""
    try:
        if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
            raise Refused("the PDF is encrypted; it needs a password that we don't have")
    except DependencyError as error:
        raise Refused(f"the PDF is encrypted in a way that cannot be read here: {error}") from error


def _metadata(reader: PdfReader, document: Document) -> None:
    for read in (_info, _language):
        try:
            read(reader, document)
        except BROKEN as error:
            document.warn(f"metadata cannot be read: {said(error)}")


def _info(reader: PdfReader, document: Document) -> None:
    info = reader.metadata
    if info is None:
        return
    document.tell(title=info.title, author=info.author)
    created = info.creation_date
    document.tell(created=iso(created) if created else None)


def _language(reader: PdfReader, document: Document) -> None:
    language = reader.root_object.get("/Lang")
    document.tell(language=str(language) if language else None)


def _pages(reader: PdfReader, document: Document, pages: int, most: int) -> None:
    if pages > most:
        document.warn(f"only the first {most:,} of {pages:,} pages were read; max_pages of the plugin says so")
    failed = 0
    for number in range(min(pages, most)):
        try:
            document.add(_page(reader, number))
        except BROKEN as error:
            failed += 1
            document.warn(f"page {number + 1} cannot be read: {said(error)}")
        document.progress((number + 1) / min(pages, most), f"page {number + 1} of {pages}")
    if failed == min(pages, most):
        raise Refused(f"the PDF is broken: none of its pages can be read; {document.warnings[-1]}")


def _page(reader: PdfReader, number: int) -> str:
    text = paragraphs(reader.pages[number].extract_text()).strip()
    return f"{text}\n\n" if text else ""
