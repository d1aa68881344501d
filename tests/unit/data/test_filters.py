"""The filter language: what can be typed, what comes back, and how mistakes are named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.filters import FLAGS, KEYS, STATES, Filter, Term, Value, build, moment, parse, quote
from engine.kernel.errors import ValidationError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
SPANS = st.builds(lambda n, unit: f"{n}{unit}", st.integers(1, 999), st.sampled_from("smhdw"))


def _values(key: str) -> st.SearchStrategy[Value]:
    if key == "state":
        return st.sampled_from(STATES).map(Value)
    if key == "is":
        return st.sampled_from(FLAGS).map(Value)
    if key == "priority":
        return st.sampled_from(["critical", "high", "normal", "low", "1", "10"]).map(Value)
    if key in ("since", "until"):
        return SPANS.map(Value)
    if key in ("queue", "task", "tenant", "agent"):
        return st.one_of(
            TEXTS.map(Value), st.from_regex(r"[a-z.]{0,5}\*[a-z]{0,5}", fullmatch=True).map(lambda t: Value(t, True))
        )
    if key == "id":
        return st.one_of(
            TEXTS.map(Value), st.from_regex(r"[0-9a-f]{8,12}\*", fullmatch=True).map(lambda t: Value(t, True))
        )
    return TEXTS.map(Value)


@st.composite
def terms(draw: st.DrawFn) -> Term:
    key = draw(st.sampled_from(["", *KEYS]))
    single = key in ("since", "until")
    values = draw(st.lists(_values(key), min_size=1, max_size=1 if single else 3))
    return Term(key, tuple(values), False if single else draw(st.booleans()))


@given(st.lists(terms(), max_size=5))
def test_what_a_filter_prints_means_the_same_filter(words: list[Term]) -> None:
    filter = Filter(tuple(words))
    assert parse(str(filter)) == filter


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_clear_error(text: str) -> None:
    try:
        filter = parse(text)
    except ValidationError as error:
        assert str(error).startswith("filter: ") and error.field == "q"
    else:
        assert parse(str(filter)) == filter


@given(TEXTS)
def test_a_quoted_text_means_exactly_itself(text: str) -> None:
    assert parse(f"queue:{quote(text)}").terms == (Term("queue", (Value(text),)),)


def test_words_values_and_signs_are_told_apart() -> None:
    assert parse('state:dead,retryable -task:send* "two words" plain').terms == (
        Term("state", (Value("dead"), Value("retryable"))),
        Term("task", (Value("send*", True),), True),
        Term("", (Value("two words"),)),
        Term("", (Value("plain"),)),
    )


def test_keys_are_read_in_any_case_and_stars_in_quotes_are_letters() -> None:
    assert parse('STATE:dead task:"a*"').terms == (Term("state", (Value("dead"),)), Term("task", (Value("a*"),)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("stat:dead", "there is no stat:; did you mean state:?"),
        ("state:ded", "got 'ded'; did you mean dead?"),
        ("https://x", "put other text in quotes"),
        ("state:", "state: needs a value, one of"),
        ('error:"abc', "is not closed"),
        ("since:1y", "expected a span such as"),
        ("since:1h,2h", "takes one value"),
        ("-since:1h", "no minus"),
        ("is:red", "rescued, retried"),
        ("priority:11", "1 to 10"),
        ("id:abc*", "at least 8 characters"),
        (":", "cannot be read"),
        ("-", "cannot be read"),
        ("x" * 3_000, "at most 2000 characters"),
    ],
)
def test_a_mistake_is_named_with_its_mend(text: str, says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parse(text)
    assert says in str(caught.value)


def test_single_fields_make_the_same_filter_as_words() -> None:
    assert build("hello", state="dead,retryable", queue="a b", since=None) == parse(
        'hello state:dead,retryable queue:"a b"'
    )


def test_filters_are_joined_with_and() -> None:
    assert parse("state:dead") & parse("queue:a") == parse("state:dead queue:a")
    assert not Filter() and parse("x")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("1.5h", 5_400), ("7d", 604_800), ("1w", 604_800)],
)
def test_spans_count_back_from_now(text: str, seconds: float) -> None:
    assert moment(text, 1_000_000.0) == 1_000_000.0 - seconds


def test_times_are_utc_unless_they_say_otherwise() -> None:
    assert moment("2023-11-14T22:13:20", 0.0) == moment("2023-11-14T23:13:20+01:00", 0.0) == 1_700_000_000.0


def test_a_star_stands_for_any_text_and_dots_for_themselves() -> None:
    assert Value("mail.*", True).matches("mail.send") and not Value("mail.*", True).matches("mailxsend")
    assert Value("*send", True).matches("mail.send") and not Value("*send", True).matches("mail.send2")
