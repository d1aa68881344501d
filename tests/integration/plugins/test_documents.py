"""Documents of every format, read as a job reads them: in a child process, within limits, with clear refusals."""

from __future__ import annotations

import hashlib
import os
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine import Cancel, Discard
from plugins.catalog.documents import sample_request
from tests.support import documents
from tests.support.documents import docx, pdf
from tests.support.plugins import configure, functions
from tests.support.tasks import Heard, context


def extract(home: Path, content: bytes | None = None, heard: Heard | None = None, **args: Any) -> dict[str, Any]:
    given = {"content": content} if content is not None else {}
    result: dict[str, Any] = functions(home)["documents.extract"](context("documents.extract", heard), **given, **args)
    msgspec.json.encode(result)
    return result


def refusal(home: Path, content: bytes | None = None, **args: Any) -> str:
    with pytest.raises(Discard) as caught:
        extract(home, content, **args)
    return str(caught.value)


def test_the_sample_that_ships_is_the_one_we_make_and_reads_well(tmp_path: Path) -> None:
    assert documents.SAMPLE.read_bytes() == documents.sample()
    request = sample_request()
    assert request.task == "documents.extract"
    heard = Heard()
    result = extract(tmp_path, heard=heard, **request.args)
    assert result["format"] == "pdf" and result["pages"] == 2 and result["warnings"] == []
    assert result["title"] == "Welcome to Holdfast" and result["author"] == "The Holdfast authors"
    assert result["created"] == "2026-03-01T12:00:00Z" and result["language"] == "en-GB"
    assert "kelp clings to rock" in result["text"] and "Fair winds." in result["text"]
    assert result["words"] == len(result["text"].split()) and not result["truncated"]
    assert result["sha256"] == hashlib.sha256(documents.SAMPLE.read_bytes()).hexdigest()
    assert heard.steps[-1][0] == 1.0 and len(heard.steps) >= 2
    assert heard.steps == sorted(heard.steps, key=lambda step: step[0])


def test_a_word_file_gives_its_paragraphs_notes_and_properties(tmp_path: Path) -> None:
    notes = (
        b'<w:footnotes xmlns:w="urn:w"><w:footnote><w:p><w:r><w:t>a note</w:t></w:r></w:p></w:footnote></w:footnotes>'
    )
    tabs = (
        b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:pPr><w:tabs>'
        b'<w:tab w:val="left" w:pos="720"/></w:tabs></w:pPr><w:r><w:t>one</w:t><w:tab/><w:t>two</w:t><w:br/><w:t>three</w:t>'
        b"<w:delText>gone</w:delText></w:r></w:p></w:body></w:document>"
    )
    plain = extract(tmp_path, docx(["Größe & Maß", "second line"], "A <title>", "Jo", {"word/footnotes.xml": notes}))
    assert plain["format"] == "docx" and plain["text"] == "Größe & Maß\nsecond line\na note\n"
    assert (plain["title"], plain["author"], plain["language"], plain["pages"]) == ("A <title>", "Jo", "de-AT", 3)
    assert plain["created"] == "2026-03-01T12:00:00Z" and plain["words"] == 7
    assert extract(tmp_path, docx([], parts={"word/document.xml": tabs}))["text"] == "one\ttwo\nthree\n"


def test_a_page_gives_what_a_reader_would_see(tmp_path: Path) -> None:
    page = """<!-- made by hand --><!DOCTYPE html><html lang="fr"><head><title>Caf&eacute; &amp; co</title>
    <meta charset="iso-8859-1"><meta name="author" content="Zoë">
    <meta property="article:published_time" content="2026-01-02T03:04:05+01:00">
    <style>p { color: red }</style><script>alert("no")</script></head>
    <body><h1>Bonjour</h1><p>le <b>monde</b>   entier<br>ligne</p><noscript>nothing</noscript>
    <table><tr><td>a</td><td>b</td></tr></table></body></html>""".encode("iso-8859-1")
    result = extract(tmp_path, page)
    assert result["format"] == "html" and result["title"] == "Café & co" and result["author"] == "Zoë"
    assert result["language"] == "fr" and result["created"] == "2026-01-02T02:04:05Z"
    assert result["text"].split() == ["Bonjour", "le", "monde", "entier", "ligne", "a", "b"]
    assert "le monde entier\n" in result["text"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_plain_text_is_read_in_the_encoding_that_it_is_in(tmp_path: Path, encoding: str) -> None:
    text = "Über den Wolken muss die Freiheit wohl grenzenlos sein. Die Größe zählt, das Gefühl führt weiter.\n" * 5
    result = extract(tmp_path, text.encode(encoding), name="lied.txt")
    assert result["format"] == "text" and result["text"] == text and result["words"] == len(text.split())
    assert bool(result["warnings"]) == (encoding == "cp1252")


def test_text_is_cut_to_the_limit_but_counted_whole(tmp_path: Path) -> None:
    result = extract(tmp_path, b"word " * 50_000, max_characters=1_000)
    assert result["truncated"] and len(result["text"]) == 1_000
    assert result["words"] == 50_000 and result["characters"] == 250_000


def test_a_result_never_outgrows_what_the_engine_takes(tmp_path: Path) -> None:
    for text in ('"\\\n' * 60_000, "\U0001f600" * 60_000, "ü " * 90_000):
        task = functions(tmp_path, result_limit=40_000)["documents.extract"]
        result = task(context("documents.extract"), content=text.encode())
        assert result["truncated"] and 20_000 < len(msgspec.json.encode(result)) <= 40_000


def test_text_holds_nothing_that_a_database_would_refuse(tmp_path: Path) -> None:
    result = extract(tmp_path, "a\x00b\x07c é".encode() + b" " * 600, name="x.txt")
    assert result["text"].startswith("abc é")


def test_a_large_document_tells_how_far_it_is_and_stops_when_asked(tmp_path: Path) -> None:
    many = pdf([[f"page {number}", *["some words to read " * 4] * 40] for number in range(300)])
    heard = Heard(cancel_when=lambda heard: len(heard.steps) > 3)
    with pytest.raises(Cancel):
        extract(tmp_path, many, heard)
    assert 0 < heard.steps[0][0] < heard.steps[-1][0] < 1.0
    assert heard.steps[0][1].endswith("of 300")


def test_pages_beyond_the_limit_are_left_out_with_a_warning(tmp_path: Path) -> None:
    configure(tmp_path, "documents", "max_pages = 2")
    result = extract(tmp_path, pdf([["one"], ["two"], ["three"]]))
    assert result["pages"] == 3 and "two" in result["text"] and "three" not in result["text"]
    assert "only the first 2 of 3 pages" in result["warnings"][0]


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (b"", "", "the document is empty: it has 0 bytes"),
        (b"%PDF-1.7\n" + b"\x01garbage" * 500, "", "the PDF is broken"),
        (pdf([["hello"]])[:300], "", "the PDF is broken"),
        (b"PK\x03\x04" + b"junk" * 100, "", "the Word file is broken"),
        (docx(["x"])[:-40], "", "the Word file is broken"),
        (documents.archive({"readme.txt": b"hi"}), "", "a zip archive but no Word file"),
        (docx([], parts={"word/document.xml": b"<w:document><w:body>"}), "", "its XML cannot be read"),
        (
            docx([], parts={"word/document.xml": b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'}),
            "",
            "declares XML entities, which Word never does",
        ),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" * 100, "", "an old Office file or one with a password"),
        (b"\x89PNG\r\n\x1a\n" + b"\x00" * 100, "scan.pdf", "a picture (PNG)"),
        (bytes(range(256)) * 10, "notes.txt", "neither PDF, Word (.docx), HTML nor text"),
    ],
)
def test_a_document_that_can_never_be_read_ends_the_job_and_says_why(
    tmp_path: Path, content: bytes, name: str, expected: str
) -> None:
    assert expected in refusal(tmp_path, content, name=name)


def test_an_encrypted_pdf_is_refused_unless_it_opens_without_a_password(tmp_path: Path) -> None:
    import io

    from pypdf import PdfReader, PdfWriter

    def locked(password: str) -> bytes:
        writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf([["hidden words"]]))))
        writer.encrypt(user_password=password, owner_password="owner", algorithm="AES-256")
        out = io.BytesIO()
        writer.write(out)
        return out.getvalue()

    assert "needs a password that we don't have" in refusal(tmp_path, locked("hush"))
    assert "hidden words" in extract(tmp_path, locked(""))["text"]


def test_a_page_that_is_broken_costs_a_warning_and_not_the_document(tmp_path: Path) -> None:
    good = pdf([["first"], ["second"]], packed=False)
    bad = good.replace(b"/Length", b"/Filter /NoSuchFilter /Length", 1)
    result = extract(tmp_path, bad)
    assert "second" in result["text"] and result["words"] == 1
    assert any("page 1 cannot be read" in warning for warning in result["warnings"])


def test_a_word_file_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    bomb = docx([], parts={"word/document.xml": b"<a>" + b" " * 300_000_000})
    assert len(bomb) < 1_000_000
    assert "unpacks to too much" in refusal(tmp_path, bomb)


def test_a_pdf_that_unpacks_to_too_much_ends_in_a_refusal_or_a_warning_and_not_in_lost_memory(tmp_path: Path) -> None:
    huge = zlib.compress(b"BT (x) Tj ET\n" * 30_000_000, 9)
    head, middle, tail = pdf([["small"]]).partition(b"/Filter /FlateDecode >>\nstream\n")
    end = tail.index(b"\nendstream")
    bomb = head + middle + huge + tail[end:]
    configure(tmp_path, "documents", "")
    try:
        result = extract(tmp_path, bomb)
    except Discard:
        return
    assert result["warnings"]


def test_a_document_that_takes_too_much_processor_time_is_given_up(tmp_path: Path) -> None:
    from engine.kernel.clock import SystemClock
    from plugins import child
    from plugins.manifest import Limits

    work = child.Work("tests.support.works:spin", {}, Limits(memory_mb=256, cpu_seconds=1), 120)
    with open(os.devnull, "rb") as nothing, pytest.raises(Discard, match="more than 1 s of CPU"):
        child.run(work, nothing, SystemClock(), lambda value, message: None, lambda: None)


def test_files_are_read_only_from_folders_that_the_plugin_may_read(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    inbox = home / "inbox"
    inbox.mkdir(parents=True)
    outside.mkdir()
    (outside / "secret.txt").write_text("do not tell")
    (inbox / "letter.txt").write_text("dear reader")
    (inbox / "link.txt").symlink_to(outside / "secret.txt")
    (inbox / "fine.txt").symlink_to(inbox / "letter.txt")
    os.mkfifo(inbox / "pipe")
    assert extract(home, path="letter.txt")["text"] == "dear reader"
    assert extract(home, path=str(inbox / "letter.txt"))["text"] == "dear reader"
    assert extract(home, path="fine.txt")["text"] == "dear reader"
    paths = [
        "link.txt",
        "../../outside/secret.txt",
        str(outside / "secret.txt"),
        "/etc/passwd",
        "pipe",
        ".",
        "nothing.txt",
    ]
    for path in [*paths, "a\x00b", "x" * 5000, "letter.txt/more"]:
        assert "no file" in refusal(home, path=path) and "do not tell" not in refusal(home, path=path)
    configure(home, "documents", f'folders = ["{outside}"]')
    assert extract(home, path="secret.txt")["text"] == "do not tell"
    assert "no file" in refusal(home, path="letter.txt")


def test_exactly_one_source_is_asked_for(tmp_path: Path) -> None:
    assert "give one of path and content" in refusal(tmp_path)
    assert "give one of path and content" in refusal(tmp_path, b"x", path="y")


def test_a_file_larger_than_the_setting_is_refused(tmp_path: Path) -> None:
    configure(tmp_path, "documents", "max_bytes = 100")
    assert "the document has 101 bytes; max_bytes of the plugin allows 100" in refusal(tmp_path, b"x" * 101)


def test_a_text_of_many_megabytes_is_streamed(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    with (tmp_path / "inbox" / "log.txt").open("wb") as file:
        for _ in range(60):
            file.write(b"one line of a log that goes on and on and on\n" * 22_000)
    heard = Heard()
    result = extract(tmp_path, heard=heard, path="log.txt")
    assert result["words"] == 60 * 22_000 * 12 and result["truncated"]
    assert len(heard.steps) > 20
