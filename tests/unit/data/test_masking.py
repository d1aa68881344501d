"""Secrets are taken out by name and by look; everything else stays as it is."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.masking import MASK, is_secret_name, mask_json, mask_text, mask_value

SECRET = "s3cr3t-Value_0123456789"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"


@pytest.mark.parametrize(
    "name",
    ["password", "userPassword", "passwd", "pwd", "secret", "client_secret", "api_key", "apiKey", "X-Api-Key",
     "token", "accessToken", "Authorization",
     "Set-Cookie", "credentials", "private_key", "passphrase", "session_id", "card_number", "cvv", "auth", "AWS_ACCESS_KEY"],
)  # fmt: skip
def test_values_under_a_secret_name_are_masked(name: str) -> None:
    assert is_secret_name(name)
    assert mask_value({name: SECRET, "list": [{name: [SECRET]}]}) == {name: MASK, "list": [{name: MASK}]}


@pytest.mark.parametrize(
    "name",
    [
        "author",
        "secret_name",
        "max_tokens",
        "token_type",
        "key",
        "monkey",
        "keyboard",
        "passenger",
        "path",
        "authority",
    ],
)
def test_harmless_names_keep_their_values(name: str) -> None:
    assert mask_value({name: "x"}) == {name: "x"}


def test_numbers_and_flags_under_a_secret_name_stay() -> None:
    assert mask_value({"token": 5, "password": None, "secret": True, "cookie": ""}) == {
        "token": 5,
        "password": None,
        "secret": True,
        "cookie": "",
    }


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"redis://user:{SECRET}@host:6379/0 is down", f"redis://{MASK}@host:6379/0 is down"),
        (f"https://{SECRET}@git.example.org/x", f"https://{MASK}@git.example.org/x"),
        (f"GET https://x/y?a=1&access_token={SECRET}&b=2", f"GET https://x/y?a=1&access_token={MASK}&b=2"),
        (f"GET /y?sig={SECRET}", f"GET /y?sig={MASK}"),
        (f"Authorization: Bearer {SECRET}", f"Authorization: Bearer {MASK}"),
        (f"jwt {JWT} end", f"jwt {MASK} end"),
        ("id AKIAABCDEFGHIJKLMNOP.", f"id {MASK}."),
        (f"login failed: password={SECRET}, next", f"login failed: password={MASK}, next"),
        (f'{{"password": "{SECRET}"}}', f'{{"password": {MASK}}}'),
        ("key ghp_abcdefghijklmnopqrstuvwxyz0123 bad", f"key {MASK} bad"),
        (f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----\nafter", f"{MASK}\nafter"),
        (f"-----BEGIN PRIVATE KEY-----\n{SECRET} (cut", MASK),
    ],
)
def test_secrets_in_texts_are_masked_by_their_look(text: str, masked: str) -> None:
    assert mask_text(text) == masked
    assert mask_text(masked) == masked


@pytest.mark.parametrize(
    "text",
    ["", "KeyError: 'customer_id'", "mail to a@example.org", "https://example.org/path?page=2", "the token expired",
     "basic tests pass",
     "max_tokens=100", "File 'a.py', line 3, in keyed"],
)  # fmt: skip
def test_ordinary_texts_are_left_alone(text: str) -> None:
    assert mask_text(text) == text


@pytest.mark.parametrize(
    "raw", [b'{"pass\\u0077ord":"' + SECRET.encode() + b'"}', b'{"u":"http:\\/\\/a:' + SECRET.encode() + b'@b"}']
)
def test_escapes_do_not_hide_a_secret(raw: bytes) -> None:
    assert SECRET.encode() not in mask_json(raw)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.text(st.sampled_from("abcdfg 0123ABC-."), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.sampled_from("abcdfgxyz_"), max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON)
def test_json_without_secrets_stays_the_very_same_bytes(value: object) -> None:
    raw = msgspec.json.encode(value)
    if b"pwd" not in raw and b"pass" not in raw:
        assert mask_json(raw) is raw or msgspec.json.decode(mask_json(raw)) == value


@given(JSON, st.sampled_from(["password", "api_key", "clientSecret"]))
def test_a_secret_is_found_at_any_depth(value: object, name: str) -> None:
    raw = msgspec.json.encode({"a": [value, {"b": {name: SECRET}}], "url": f"amqp://me:{SECRET}@h"})
    assert SECRET.encode() not in mask_json(raw)


@given(st.text(max_size=300))
def test_masking_any_text_ends_and_is_stable(text: str) -> None:
    once = mask_text(text)
    assert mask_text(once) == once


def test_hostile_texts_are_masked_in_reasonable_time() -> None:
    for text in (
        "://" * 20_000,
        "password" * 10_000,
        "a" * 100_000 + "://",
        "token=" * 10_000,
        "-----BEGIN " * 5_000,
        "?token" * 10_000,
    ):
        mask_text(text)
