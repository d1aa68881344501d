"""Signatures, headers, addresses as text, and what an answer means."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Discard, RetryAfter
from plugins.catalog.webhooks.answers import DeliveryFailed, refuse_failure, retry_after, shown
from plugins.catalog.webhooks.delivery import parsed
from plugins.catalog.webhooks.sending import Answer
from plugins.catalog.webhooks.signing import signature_headers
from plugins.catalog.webhooks.tasks import checked_headers, encoded


def test_the_signature_is_the_one_that_the_standard_gives_as_its_example() -> None:
    headers = signature_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_two_secrets_sign_both_and_a_plain_text_is_its_own_key() -> None:
    both = signature_headers("one two", "m", 1, b"x")["webhook-signature"].split()
    assert both == [signature_headers(each, "m", 1, b"x")["webhook-signature"] for each in ("one", "two")]
    packed = "whsec_" + base64.b64encode(b"one").decode()
    assert signature_headers(packed, "m", 1, b"x")["webhook-signature"] == both[0]


@pytest.mark.parametrize("secret", ["", "  ", "whsec_", "whsec_not base64", "whsec_***"])
def test_a_secret_that_cannot_sign_is_refused_without_showing_it(secret: str) -> None:
    with pytest.raises(ValueError) as caught:
        signature_headers(secret, "m", 1, b"x")
    assert "***" not in str(caught.value)


def answered(status: int, body: bytes = b"", **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, False)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_delivered(status: int) -> None:
    refuse_failure(answered(status), "POST x", 0)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_failures_that_pass_are_tried_again_when_the_answer_says_so(status: int) -> None:
    with pytest.raises(DeliveryFailed, match=f"POST x answered {status}: too busy"):
        refuse_failure(answered(status, b"too\n busy\x00"), "POST x", 0)
    with pytest.raises(RetryAfter) as caught:
        refuse_failure(answered(status, retry_after="17"), "POST x", 0)
    assert caught.value.seconds == 17


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404, 409, 410, 422])
def test_failures_that_will_be_the_same_again_end_the_job(status: int) -> None:
    with pytest.raises(Discard, match=str(status)):
        refuse_failure(answered(status, retry_after="17"), "POST x", 0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2023 22:12:20 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("9" * 30, None),
        ("٣", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str, seconds: float | None) -> None:
    assert retry_after(value, now=1_700_000_000.0) == seconds


@given(st.text(max_size=60))
def test_no_retry_after_breaks_the_reader(value: str) -> None:
    found = retry_after(value, now=1_700_000_000.0)
    assert found is None or found >= 0


@given(st.binary(max_size=200))
def test_an_answer_is_shown_as_text_that_every_database_takes(body: bytes) -> None:
    text = shown(body)
    assert "\x00" not in text
    text.encode()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ftp://example.org/x", "expected http:// or https://, got the scheme 'ftp'"),
        ("file:///etc/passwd", "expected http:// or https://"),
        ("gopher://127.0.0.1:25/x", "expected http:// or https://"),
        ("/relative", "expected http:// or https://"),
        ("https://", "names no host"),
        ("https:///path", "names no host"),
        ("https://user:hunter2@example.org/", "a name or password before the host is refused"),
        ("https://exa mple.org/", "not an address"),
        ("http://example.org:99999/", "not an address"),
        ("http://[::1/", "not an address"),
        ("https://example.org/" + "x" * 5000, "longer than 4,000 characters"),
        ("", "expected http:// or https://"),
    ],
)
def test_an_address_that_is_not_ours_to_call_ends_the_job_without_being_repeated(url: str, expected: str) -> None:
    with pytest.raises(Discard) as caught:
        parsed(url)
    assert expected in str(caught.value) and "hunter2" not in str(caught.value)


@given(st.text(max_size=80))
def test_no_text_given_for_an_address_breaks_the_reader(text: str) -> None:
    for url in (text, f"http://{text}", f"https://a.example/{text}"):
        try:
            assert parsed(url).raw_host
        except Discard:
            continue


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "webhook-id", "Webhook-Signature"])
def test_headers_that_the_delivery_sets_cannot_be_given(name: str) -> None:
    with pytest.raises(Discard, match="is set by the delivery itself"):
        checked_headers({name.lower(): "x"})


@pytest.mark.parametrize(
    ("name", "value"), [("a b", "x"), ("", "x"), ("a\r\nb", "x"), ("x-a", "1\r\nhost: evil"), ("x-a", "é\u20ac")]
)
def test_headers_that_could_break_the_request_are_refused_without_their_value(name: str, value: str) -> None:
    with pytest.raises(Discard) as caught:
        checked_headers({name: value})
    assert "evil" not in str(caught.value)


def test_text_is_sent_as_it_is_and_anything_else_as_json() -> None:
    assert encoded("plain") == (b"plain", "text/plain; charset=utf-8")
    assert encoded({"a": [1, None]}) == (b'{"a":[1,null]}', "application/json")
    assert encoded(None)[0] == b""
