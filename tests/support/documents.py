"""Makes documents of every format that ``documents.extract`` reads, byte by byte, so that tests own what is in them.

``python -m tests.support.documents`` writes the sample that ships with the plugin.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

SAMPLE = Path(__file__).resolve().parents[2] / "plugins" / "catalog" / "documents" / "sample.pdf"
_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"

SAMPLE_PAGES = (
    (
        "Welcome to Holdfast",
        "A holdfast is the root-like grip by which kelp clings to rock. The sea pulls at it",
        "with every tide, and it stays. This little document is here for the same reason:",
        "something to hold on to while you take your first look around.",
        "",
        "What has just happened",
        "",
        "You asked for a job. Before anything else, the request was sealed and written to",
        "the disk of this machine; only then did Holdfast say yes. A worker took it under a",
        "lease, opened these two pages in a process of their own, counted the words, and",
        "wrote the result next to the request. Had someone pulled the plug half way, the",
        "job would have been found again at the next start and run to its end.",
        "",
        "All of that took place here. No server was asked, and no network was needed.",
    ),
    (
        "Where to go from here",
        "Look at the job's own page. It shows how long the job waited and how long it ran,",
        "each attempt with its times, what it logged, and the text that you are reading.",
        "",
        "Then try what you would never dare elsewhere: start a few hundred jobs and kill",
        "the process in the middle. Start it again, and count them.",
        "",
        "When you write a task of your own, keep one thing in mind. A job that was cut off",
        "is run again, so it is good manners to make the second time harmless. Everything",
        "else (retries, time limits, schedules of waiting, the record of it all) is the",
        "business of the house.",
        "",
        "Fair winds.",
    ),
)


def pdf(
    pages: Sequence[Sequence[str]],
    title: str = "",
    author: str = "",
    created: str = "D:20260301120000Z",
    packed: bool = True,
) -> bytes:
    """A PDF whose pages have a heading, the first line, and text below it."""
    numbers = [5 + 2 * index for index in range(len(pages))]
    kids = " ".join(f"{number} 0 R" for number in numbers)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /Lang (en-GB) >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
    ]
    for number, lines in zip(numbers, pages, strict=True):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {number + 1} 0 R "
            "/Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>".encode()
        )
        objects.append(_stream(_shown(lines), packed))
    info = f"<< /Title ({_text(title)}) /Author ({_text(author)}) /CreationDate ({created}) >>"
    return _file([*objects, info.encode("cp1252")])


def _shown(lines: Sequence[str]) -> bytes:
    heading, *body = lines or [""]
    rows = "".join(f"({_text(line)}) Tj T*\n" for line in body)
    return f"BT /F2 22 Tf 72 740 Td ({_text(heading)}) Tj ET\nBT /F1 11.5 Tf 17 TL 72 700 Td\n{rows}ET\n".encode(
        "cp1252"
    )


def _text(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def _stream(content: bytes, packed: bool) -> bytes:
    body = zlib.compress(content, 9) if packed else content
    kind = " /Filter /FlateDecode" if packed else ""
    return f"<< /Length {len(body)}{kind} >>\nstream\n".encode() + body + b"\nendstream"


def _file(objects: Sequence[bytes]) -> bytes:
    """Objects numbered from 1, the last of them the info dictionary, with their table."""
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
    table = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(f"{place:010} 00000 n \n".encode() for place in places)
    trailer = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R >>\n"
    return bytes(out) + f"{trailer}startxref\n{table}\n%%EOF\n".encode()


def docx(paragraphs: Sequence[str], title: str = "", author: str = "", parts: Mapping[str, bytes] = {}) -> bytes:
    """A Word file; ``parts`` adds parts or replaces them."""
    text = "".join(f"<w:p><w:r><w:t xml:space='preserve'>{escape(p)}</w:t></w:r></w:p>" for p in paragraphs)
    core = (
        '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties"'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/">'
        f"<dc:title>{escape(title)}</dc:title><dc:creator>{escape(author)}</dc:creator>"
        "<dcterms:created>2026-03-01T12:00:00Z</dcterms:created><dc:language>de-AT</dc:language></cp:coreProperties>"
    )
    files = {
        "[Content_Types].xml": b"<Types/>",
        "word/document.xml": f'<w:document xmlns:w="{_W}"><w:body>{text}</w:body></w:document>'.encode(),
        "docProps/core.xml": core.encode(),
        "docProps/app.xml": b"<Properties><Pages>3</Pages></Properties>",
        **parts,
    }
    return archive(files)


def archive(files: Mapping[str, bytes]) -> bytes:
    """A zip file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in files.items():
            target.writestr(name, content)
    return out.getvalue()


def sample() -> bytes:
    """The sample that ships with the plugin."""
    return pdf(SAMPLE_PAGES, title="Welcome to Holdfast", author="The Holdfast authors")


if __name__ == "__main__":
    SAMPLE.write_bytes(sample())
