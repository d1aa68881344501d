"""Whatever bytes come in, reading ends in a result or a refusal in words, never in another error."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugins.catalog.documents.collected import Document, clean, moment
from plugins.catalog.documents.reading import read_document
from plugins.child_main import Refused
from tests.support.documents import docx, pdf, sample

REQUEST: dict[str, Any] = {
    "name": "",
    "max_characters": 5_000,
    "max_text_bytes": 20_000,
    "max_pages": 20,
    "max_unpacked": 2_000_000,
}
PAGE = (
    b"<!DOCTYPE html><html lang='en'><head><meta charset=utf-8><title>T</title><script>x()</script></head>"
    b"<body><p>one<br>two &amp; three<table><tr><td>4</table><!-- c --></body></html>"
)
WHOLE = {
    "pdf": pdf([["one", "text"], ["two", "more"]], "Title", "Author"),
    "plain pdf": pdf([["one", "text"]], packed=False),
    "sample": sample(),
    "docx": docx(["one", "two"], "Title", "Author"),
    "html": PAGE,
    "text": "Grüße aus Köln\r\n".encode("cp1252") * 20,
    "utf-16": "wide text".encode("utf-16"),
}
relaxed = settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))


def read(content: bytes, name: str = "") -> dict[str, Any] | None:
    """The result, ``None`` for a refusal; any other error fails the test."""
    steps: list[float] = []
    try:
        result = read_document({**REQUEST, "name": name}, io.BytesIO(content), lambda share, text: steps.append(share))
    except Refused as refusal:
        assert 10 < len(str(refusal)) < 1_000
        return None
    assert steps == sorted(steps) and all(0 <= share < 1 for share in steps)
    assert len(result["text"]) <= 5_000 and "\x00" not in result["text"]
    json.dumps(result, ensure_ascii=False).encode()
    return result


@pytest.mark.parametrize("kind", WHOLE)
def test_every_whole_document_reads(kind: str) -> None:
    result = read(WHOLE[kind])
    assert result and result["words"] > 0


@relaxed
@given(kind=st.sampled_from(sorted(WHOLE)), data=st.data())
def test_documents_with_changed_bytes_end_in_a_result_or_a_refusal(kind: str, data: st.DataObject) -> None:
    content = bytearray(WHOLE[kind])
    places = st.integers(0, len(content) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=12)):
        content[place] = value
    read(bytes(content))


@relaxed
@given(kind=st.sampled_from(sorted(WHOLE)), data=st.data())
def test_documents_with_parts_cut_out_doubled_or_filled_in_end_in_a_result_or_a_refusal(
    kind: str, data: st.DataObject
) -> None:
    content = WHOLE[kind]
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, len(content)))
    filling = data.draw(st.one_of(st.just(b""), st.binary(max_size=40), st.just(content[start:end] * 2)))
    read(content[:start] + filling + content[end:])


@relaxed
@given(st.binary(max_size=400), st.sampled_from(["", "a.html", "a.pdf", "a.txt"]))
def test_no_bytes_break_the_reader(content: bytes, name: str) -> None:
    for beginning in (b"", b"%PDF-1.7\n", b"PK\x03\x04", b"<html>", b"\xff\xfe", b"\xef\xbb\xbf"):
        read(beginning + content, name)


@relaxed
@given(st.text(alphabet=st.sampled_from("<>/!-&;#x\"'= abptdscriyle\n\u00e9"), max_size=300))
def test_no_markup_breaks_the_reader_and_no_script_is_shown(text: str) -> None:
    read(b"<html>" + text.encode())
    result = read(b"<html>" + b"<script>SECRET</script>" + text.encode())
    assert result and "SECRET" not in result["text"]


@pytest.mark.parametrize("part", ["<![-- c>", "<![CDATA[x]]>", "<![", "<![if !IE]>", "<!>", "<?php 1 ?>", "</>", "<!-"])
def test_markup_that_is_none_is_passed_over(part: str) -> None:
    result = read(f"<html><p>before {part} after".encode())
    assert result and result["text"].startswith("before")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"/Title (Title)", b"/Title 999 0 R"),
        (b"/Title (Title)", b"/Title [1 2]"),
        (b"(en-GB)", b"<< /A 1 >>"),
        (b"/Type /Catalog", b"/Type /Catalogue"),
        (b"D:20260301120000Z", b"D:99999999999999Z"),
        (b"/Filter /FlateDecode", b"/Filter /Fl"),
    ],
)
def test_odd_values_in_a_pdf_cost_no_more_than_themselves(old: bytes, new: bytes) -> None:
    assert old in WHOLE["pdf"]
    result = read(WHOLE["pdf"].replace(old, new, 1))
    assert result and result["pages"] == 2


def test_an_object_that_refers_to_itself_and_a_page_tree_without_end_are_survived() -> None:
    whole = WHOLE["plain pdf"]
    assert read(whole.replace(b"/Kids [5 0 R]", b"/Kids [2 0 R]")) is None
    read(whole.replace(b"/Count 1", b"/Count 999999999"))
    read(whole.replace(b"/Contents 6 0 R", b"/Contents 5 0 R"))


@given(st.text(max_size=200), st.integers(0, 100), st.integers(0, 300))
def test_text_is_kept_within_both_limits_and_counted_whole(text: str, characters: int, room: int) -> None:
    document = Document({"max_characters": characters, "max_text_bytes": room}, lambda share, message: None)
    document.add(text)
    result = document.result("text", "")
    assert len(result["text"]) <= characters
    assert len(json.dumps(result["text"], ensure_ascii=False).encode()) - 2 <= room
    assert result["words"] == len(clean(text, 10**6).split()) or not text.isprintable()
    assert result["truncated"] == (len(result["text"]) < result["characters"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02", "2026-01-02T00:00:00"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05Z"),
        ("0001-01-01T00:00:00+14:00", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_dates_become_iso_8601_or_nothing(text: str | None, expected: str | None) -> None:
    assert moment(text) == expected
