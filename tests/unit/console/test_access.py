"""Tokens, sessions, sign-in links and the brake, on a clock that the test moves."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.auth import Access
from console.brake import FREE, LONGEST, Brake, TooManyFailures
from console.sessions import key_of
from console.tokens import TokenBook
from engine.kernel.clock import FakeClock
from engine.kernel.errors import Conflict, NotFound, ValidationError

ADDRESS = "127.0.0.1"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_the_first_start_makes_an_admin_token_and_tells_it_once(tmp_path: Path, clock: FakeClock) -> None:
    first = Access(tmp_path, clock)
    assert first.first_token is not None
    again = Access(tmp_path, clock)
    assert again.first_token is None
    actor = again.bearer(first.first_token, ADDRESS)
    assert actor is not None and (actor.role, actor.tenant, actor.via) == ("admin", None, "api")
    assert first.first_token not in (tmp_path / "keys" / "tokens.json").read_text()


def test_a_token_from_the_settings_takes_the_place_of_the_kept_one_and_is_kept_nowhere(
    tmp_path: Path, clock: FakeClock
) -> None:
    made = Access(tmp_path, clock).first_token
    fixed = Access(tmp_path, clock, admin_token="fixed-by-settings-1")
    assert made is not None and fixed.first_token is None
    assert fixed.bearer("fixed-by-settings-1", ADDRESS) is not None
    assert fixed.bearer(made, ADDRESS) is None
    assert all("fixed-by-settings" not in file.read_text() for file in (tmp_path / "keys").iterdir())


def test_the_command_line_has_a_token_that_the_next_start_replaces(tmp_path: Path, clock: FakeClock) -> None:
    access = Access(tmp_path, clock)
    token = (tmp_path / "keys" / "cli-token").read_text()
    actor = access.bearer(token, ADDRESS)
    assert actor is not None and actor.via == "cli"
    assert Access(tmp_path, clock).bearer(token, ADDRESS) is None


def test_tokens_outlive_a_restart_and_revoking_ends_them(tmp_path: Path, clock: FakeClock) -> None:
    token = TokenBook(tmp_path, clock).create("robot", "operator", "acme")
    book = TokenBook(tmp_path, clock)
    found = book.find(token)
    assert found is not None and (found.name, found.role, found.tenant) == ("robot", "operator", "acme")
    with pytest.raises(Conflict):
        book.create("robot", "viewer")
    book.revoke("robot")
    assert TokenBook(tmp_path, clock).find(token) is None
    with pytest.raises(NotFound):
        book.revoke("robot")
    with pytest.raises(ValidationError):
        book.create("robot", "king")


def test_a_broken_token_file_lets_nobody_in_and_is_kept_for_a_look(tmp_path: Path, clock: FakeClock) -> None:
    token = TokenBook(tmp_path, clock).create("robot", "operator")
    (tmp_path / "tokens.json").write_text("{ broken")
    book = TokenBook(tmp_path, clock)
    assert book.find(token) is None and book.first_token is not None
    assert (tmp_path / "tokens.json.broken").read_text() == "{ broken"


def test_a_sign_in_link_works_once_and_ten_minutes(tmp_path: Path, clock: FakeClock) -> None:
    access = Access(tmp_path, clock)
    code = access.sign_in_link("http://localhost:8080/").partition("token=")[2]
    assert access.sign_in(code, ADDRESS, link=True) is not None
    assert access.sign_in(code, ADDRESS, link=True) is None
    late = access.sign_in_link("http://localhost:8080").partition("token=")[2]
    clock.advance(601)
    assert access.sign_in(late, ADDRESS, link=True) is None


def test_a_token_in_the_link_and_a_link_s_code_in_the_form_open_nothing(tmp_path: Path, clock: FakeClock) -> None:
    access = Access(tmp_path, clock)
    assert access.first_token is not None
    assert access.sign_in(access.first_token, ADDRESS, link=True) is None
    code = access.sign_in_link("http://localhost").partition("token=")[2]
    assert access.sign_in(code, ADDRESS) is None
    assert access.sign_in("é\x00", ADDRESS, link=True) is None


def test_sessions_outlive_a_restart_and_end_by_time_sign_out_or_a_new_token(tmp_path: Path, clock: FakeClock) -> None:
    access = Access(tmp_path, clock, session_hours=1)
    token = access.tokens.create("visitor", "viewer")
    sid = access.sign_in(token, ADDRESS)
    assert sid is not None and sid not in (tmp_path / "keys" / "sessions.json").read_text()
    again = Access(tmp_path, clock, session_hours=1)
    actor = again.session_actor(key_of(sid))
    assert actor is not None and actor.via == "console"
    again.sessions.end(sid)
    assert again.session_actor(key_of(sid)) is None
    second = again.sign_in(token, ADDRESS)
    assert second is not None
    clock.advance(3601)
    assert again.session_actor(key_of(second)) is None


def test_whoever_watches_hears_of_sessions_that_are_ended(tmp_path: Path, clock: FakeClock) -> None:
    access = Access(tmp_path, clock)
    ended: list[str] = []
    access.sessions.on_end(ended.append)
    token = access.tokens.create("visitor", "viewer")
    sids = [access.sign_in(token, ADDRESS) for _ in range(2)]
    access.revoke("visitor")
    assert sorted(ended) == sorted(key_of(sid) for sid in sids if sid)


def test_the_brake_lets_a_few_mistakes_pass_then_doubles_the_wait_and_forgets(clock: FakeClock) -> None:
    brake = Brake(clock)
    waits = []
    for _ in range(FREE + 14):
        try:
            brake.check(ADDRESS)
        except TooManyFailures as error:
            waits.append(error.retry_after)
            clock.advance(error.retry_after)
        brake.failed(ADDRESS)
    assert waits[:4] == [2.0, 4.0, 8.0, 16.0] and max(waits) == LONGEST
    brake.check("10.0.0.9")
    clock.advance(LONGEST)
    brake.check(ADDRESS)
    brake.succeeded(ADDRESS)
    for _ in range(FREE):
        brake.failed(ADDRESS)
        brake.check(ADDRESS)
