"""What the pages compute before anything is drawn: figures, questions, files, templates of arguments."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console import design
from console.actions import Outcome
from console.pages.figures import bars_of, line
from console.pages.job_rows import Question, question_of, row_of, said, tally
from console.pages.jobs_bulk import told
from console.pages.jobs_export import _cell
from console.pages.new_job import template
from console.records import Error, Job, Progress
from data import filters
from data.rows import Bucket, Count


def job(**fields: Any) -> Job:
    return Job(id="018bcfe5-0000-7000-8000-000000000001", task="mail.send", queue="emails", priority="normal", **fields)


def test_an_address_without_a_query_asks_for_all_jobs() -> None:
    assert question_of({}) == Question()
    assert Question().filter == ""


def test_the_state_of_an_address_is_a_chip_and_other_fields_are_words() -> None:
    question = question_of({"state": "dead", "queue": "emails", "q": "timeout", "cursor": "c"})
    assert question == Question("dead", "timeout queue:emails", "c")
    assert question.filter == "state:dead timeout queue:emails"


def test_a_state_that_has_no_chip_becomes_a_word() -> None:
    assert question_of({"state": "dead,retryable"}) == Question("", "state:dead,retryable")


@given(st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable() and text.strip() == text))
def test_any_name_in_an_address_makes_a_filter_that_finds_just_that_name(name: str) -> None:
    parsed = filters.parse(question_of({"queue": name}).filter)
    assert [value.text for term in parsed.terms for value in term.values] == [name]


@given(st.builds(Question, st.sampled_from(["", "dead", "running"]), st.text(max_size=30), st.text(max_size=30)))
def test_a_question_survives_its_address(question: Question) -> None:
    assert question_of({name: value for name, value in question.query.items() if value}) == question


def test_counts_that_stopped_say_so() -> None:
    counts = {"dead": Count(3), "completed": Count(10_000, True)}
    assert said(tally(counts, "dead")) == "3"
    assert said(tally(counts)) == "10,003+"
    assert said(tally(counts, "running")) == "0"


def test_a_row_shows_the_error_of_a_job_that_did_not_complete() -> None:
    error = Error("ValueError", "no")
    assert row_of(job(state="dead", error=error))["error"] == "ValueError: no"
    assert row_of(job(state="completed", error=error))["error"] == ""
    assert row_of(job(state="running", progress=Progress(0.5, "half")))["note"] == "half"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_of_a_file_is_taken_for_a_formula(text: str) -> None:
    assert str(_cell(text)).startswith("'")


def test_what_became_of_a_bulk_action_is_told_in_words() -> None:
    assert told("retry", Outcome(3, 3, 0)) == "3 jobs sent back"
    assert told("delete", Outcome(3, 1, 2)) == "1 job deleted, 2 could not be"


def test_bars_are_rates_per_minute_and_none_is_left_out() -> None:
    bars = bars_of([Bucket(at=600.0, completed=10, failed=5)], 0.0, 1200.0, 300)
    assert bars["at"] == [0.0, 300.0, 600.0, 900.0]
    assert bars["completed"] == [0.0, 0.0, 2.0, 0.0]
    assert bars["failed"] == [0.0, 0.0, 1.0, 0.0]


def test_a_sparkline_stays_where_it_was_when_nothing_was_measured() -> None:
    assert line([None, 2.0, None, 3.0]) == [0.0, 2.0, 2.0, 3.0]
    assert line([None, None]) == []


def test_a_new_job_begins_with_the_arguments_that_its_task_needs() -> None:
    def send(to: str, times: int, tags: list[str], subject: str = "hello") -> None: ...

    assert template(send, ("to", "times", "tags", "subject")) == '{\n  "to": "",\n  "times": 0,\n  "tags": []\n}'


@pytest.mark.parametrize(
    ("seconds", "words"), [(5, "5 s"), (300, "5 min"), (7260, "2 h 1 min"), (90_000, "1 d 1 h"), (0.2, "0 s")]
)
def test_spans_have_their_two_largest_units(seconds: float, words: str) -> None:
    assert design.span(seconds) == words


@pytest.mark.parametrize(("octets", "words"), [(999, "999 B"), (1500, "1.5 kB"), (212e6, "212 MB"), (4.29e9, "4.3 GB")])
def test_sizes_are_short(octets: float, words: str) -> None:
    assert design.size(octets) == words


def test_every_page_loads_nothing_from_elsewhere() -> None:
    head = design.head()
    assert "http:" not in head
    assert "https:" not in head
    for name in design.SHEETS:
        assert f"/static/{name}?v=" in head
        assert "url(http" not in (design.STATIC / name).read_text("utf-8")


def test_colours_live_in_the_first_stylesheet_only() -> None:
    import re

    for name in design.SHEETS[1:]:
        assert not re.search(r"#[0-9a-fA-F]{3,8}\b", (design.STATIC / name).read_text("utf-8").replace("#popup", "")), (
            name
        )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0023, ("2.3", "ms")), (0.2, ("200", "ms")), (4.23, ("4.2", "s")), (53, ("53", "s")), (2400, ("40", "min"))],
)
def test_run_times_have_the_unit_that_reads_best(seconds: float, words: tuple[str, str]) -> None:
    assert design.took(seconds) == words
