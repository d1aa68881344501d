"""Word files (.docx): a zip of XML parts, read without trusting either.

Parts are parsed as a stream with DTDs and entities forbidden, and unpacked only up to a limit that is checked while
unpacking, since what a zip says of its own sizes need not be true.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any
from xml.parsers import expat

from plugins.catalog.documents.collected import Document, moment, said
from plugins.child_main import Refused

CHUNK = 2**16
#: unpacked bytes for each packed one, above which a part is a bomb and no text
RATIO = 500
BODY = "word/document.xml"
NOTES = ("word/footnotes.xml", "word/endnotes.xml")
CORE = "docProps/core.xml"
COUNTS = "docProps/app.xml"
_SPACING = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_FACTS = {"title": "title", "creator": "author", "created": "created", "language": "language"}


def read_docx(source: IO[bytes], document: Document, request: dict[str, Any]) -> None:
    """Add the text of body and notes, and the document's properties."""
    try:
        with zipfile.ZipFile(source) as archive:
            _read(archive, document, request["max_unpacked"])
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, KeyError, OSError) as error:
        raise Refused(f"the Word file is broken: {said(error)}") from error
    except (expat.ExpatError, ValueError) as error:
        raise Refused(f"the Word file is broken: its XML cannot be read: {said(error)}") from error


def _read(archive: zipfile.ZipFile, document: Document, room: int) -> None:
    parts = {info.filename: info for info in archive.infolist()}
    if BODY not in parts:
        raise Refused("the document is a zip archive but no Word file: it has no word/document.xml")
    if parts[BODY].flag_bits & 1:
        raise Refused("the document is encrypted; it needs a password that we don't have")
    unpack = Unpacking(archive, room)
    _properties(unpack, parts, document)
    words = Words(document)
    for name in (BODY, *filter(parts.__contains__, NOTES)):
        unpack.parse(parts[name], words, document.progress)


def _properties(unpack: Unpacking, parts: dict[str, zipfile.ZipInfo], document: Document) -> None:
    properties = Properties()
    for name in filter(parts.__contains__, (CORE, COUNTS)):
        try:
            unpack.parse(parts[name], properties)
        except expat.ExpatError as error:
            document.warn(f"the document's properties cannot be read: {said(error)}")
    found = {_FACTS[name]: value for name, value in properties.found.items() if name in _FACTS}
    document.tell(**{**found, "created": moment(found.get("created"))})
    pages = properties.found.get("Pages", "")
    document.tell(pages=int(pages) if pages.isdecimal() and len(pages) < 7 else None)


class Unpacking:
    """Parses parts of a zip with one limit on all that is unpacked."""

    def __init__(self, archive: zipfile.ZipFile, room: int) -> None:
        self._archive = archive
        self._room = room
        self._most = room

    def parse(self, info: zipfile.ZipInfo, target: Any, tell: Callable[[float], None] = lambda share: None) -> None:
        """Stream one part through the events of ``target``."""
        parser = _parser(target)
        done = 0
        for chunk in self._chunks(info):
            parser.Parse(chunk, False)
            done += len(chunk)
            tell(done / max(done, info.file_size, 1))
        parser.Parse(b"", True)
        target.close()

    def _chunks(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        bound = CHUNK * 16 + info.compress_size * RATIO
        with self._archive.open(info) as part:
            while chunk := part.read(CHUNK):
                self._room -= len(chunk)
                bound -= len(chunk)
                if self._room < 0 or bound < 0:
                    raise Refused(f"the Word file unpacks to too much; max_unpacked allows {self._most:,} bytes")
                yield chunk


def _parser(target: Any) -> expat.XMLParserType:
    """Hands elements to ``target``; names are ``namespace}local``."""
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_declarations
    parser.StartElementHandler, parser.EndElementHandler = target.start, target.end
    parser.CharacterDataHandler = target.data
    return parser


def _refuse_declarations(*declaration: object) -> None:
    raise Refused("the Word file declares XML entities, which Word never does; it is not read")


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


class Words:
    """Takes the events of a body: text, breaks and paragraphs."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._paragraph: list[str] = []
        self._in_text = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = _local(tag)
        self._in_text = name == "t"
        if name in _SPACING and "}" in tag and not attributes.keys() & _TAB_STOP:
            self._paragraph.append(_SPACING[name])

    def data(self, text: str) -> None:
        if self._in_text:
            self._paragraph.append(text)

    def end(self, tag: str) -> None:
        name = _local(tag)
        self._in_text = False
        if name == "p":
            self._paragraph.append("\n")
            self._document.add("".join(self._paragraph))
            self._paragraph.clear()

    def close(self) -> None:
        """The end of the part."""
        if self._paragraph:
            self._document.add("".join(self._paragraph))
            self._paragraph.clear()


#: a ``w:tab`` with these is a tab stop in a paragraph's style, not a tab in its text
_TAB_STOP = frozenset(
    f"http://schemas.openxmlformats.org/wordprocessingml/2006/main}}{name}" for name in ("val", "pos")
)


class Properties:
    """Takes the events of a property part: element name to text."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self._name = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._name = _local(tag)

    def data(self, text: str) -> None:
        if self._name and len(self.found.get(self._name, "")) < 2_000:
            self.found[self._name] = self.found.get(self._name, "") + text

    def end(self, tag: str) -> None:
        self._name = ""

    def close(self) -> None:
        """The end of the part."""
