"""HTML: the text that a reader would see, with title, author, date and language.

The standard library's parser takes what browsers take and is fed in pieces, so a large page needs no large memory.
"""

from __future__ import annotations

import codecs
import re
from html.parser import HTMLParser
from typing import IO, Any

from plugins.catalog.documents.collected import Document, moment, paragraphs
from plugins.catalog.documents.text import decoded, encoding_of

#: what is inside these is not shown
HIDDEN = frozenset({"script", "style", "template", "noscript", "svg", "math", "iframe", "object", "select"})
BREAKS = frozenset({
    "address", "article", "aside", "blockquote", "br", "caption", "dd", "div", "dl", "dt", "fieldset", "figcaption",
    "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p",
    "pre", "section", "table", "title", "tr", "ul",
})  # fmt: skip
CELLS = frozenset({"td", "th"})
DATES = frozenset({"article:published_time", "date", "dc.date", "dcterms.created", "dcterms.date", "datepublished"})
#: characters of shown text that are handed on together
PIECE = 2**16
_BEGINS = re.compile(rb"<(?:!doctype\s+html|html|head|body|title|meta|table|div|p|h1|article)\b", re.IGNORECASE)
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_\-]{2,30})", re.IGNORECASE)


def looks_like_html(head: bytes, name: str) -> bool:
    """Whether text that begins so is HTML."""
    plain = head.replace(b"\x00", b"")
    return name.lower().endswith((".html", ".htm", ".xhtml")) or bool(_BEGINS.match(_behind_comments(plain)))


def _behind_comments(head: bytes) -> bytes:
    return re.sub(rb"\A(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?(?:\s|<!--.*?-->|<\?xml[^>]*>)*", b"", head, flags=re.DOTALL)


def read_html(source: IO[bytes], document: Document, request: dict[str, Any]) -> None:
    """Add what is shown, and what the head says of it."""
    encoding = _stated(source.read(4096)) or None
    source.seek(0)
    page = Page(document)
    for piece in decoded(source, document, encoding or encoding_of(source, document)):
        page.feed(piece)
    page.close()
    page.hand_on()


def _stated(head: bytes) -> str:
    """The encoding that a meta element names, if it is a text encoding that we know and no mark says otherwise."""
    found = _CHARSET.search(head)
    if not found or head.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ""
    try:
        info = codecs.lookup(found[1].decode("ascii"))
    except LookupError:
        return ""
    usable = info.incrementaldecoder is not None and getattr(info, "_is_text_encoding", True)
    return info.name if usable and not info.name.startswith(("utf-16", "utf-32", "utf-7")) else ""


class Page(HTMLParser):
    """One page while it is parsed."""

    def __init__(self, document: Document) -> None:
        super().__init__(convert_charrefs=True)
        self._document = document
        self._hidden: list[str] = []
        self._title: list[str] | None = None
        self._parts: list[str] = []
        self._length = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag == "html":
            self._document.tell(language=named.get("lang") or named.get("xml:lang"))
        elif tag == "meta":
            self._meta(named)
        elif tag in HIDDEN:
            self._hidden.append(tag)
        elif tag == "title" and not self._hidden:
            self._title = []
        self._break(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            del self._hidden[self._hidden.index(tag) :]
        elif tag == "title" and self._title is not None:
            self._document.tell(title="".join(self._title))
            self._title = None
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if self._title is not None:
            self._title.append(data)
        elif not self._hidden:
            self._show(data)

    def parse_marked_section(self, i: int, report: int = 1) -> int:
        """Take ``<![…`` for a comment, as browsers do; Python's own parser may give up on it."""
        return self.parse_bogus_comment(i)

    def _meta(self, named: dict[str, str]) -> None:
        name = (named.get("name") or named.get("property") or named.get("itemprop") or "").lower()
        content = named.get("content")
        if name in {"author", "dc.creator", "article:author"}:
            self._document.tell(author=content)
        elif name in {"og:title", "dc.title"}:
            self._document.tell(title=content)
        elif name in DATES:
            self._document.tell(created=moment(content))

    def _break(self, tag: str) -> None:
        if not self._hidden and self._title is None:
            self._show("\n" if tag in BREAKS else "\t" if tag in CELLS else "")

    def _show(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)
        if self._length > PIECE and text.endswith(("\n", " ", "\t")):
            self.hand_on()

    def hand_on(self) -> None:
        """Give what was shown so far to the document."""
        shown = paragraphs("".join(self._parts))
        self._parts.clear()
        self._length = 0
        self._document.add(shown if self._document.characters else shown.lstrip())
