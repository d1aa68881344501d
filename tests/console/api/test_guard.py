"""The guards: wrong hosts, foreign origins, strangers, and signing in and out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from console.actions.actor import Actor
from console.brake import FREE, Brake
from data import audit
from tests.console.api import works
from tests.console.api.test_jobs import is_problem, make
from tests.support.consoles import ADMIN, Running, running
from tests.support.waiting import until

HTML = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture
def stranger(console: Running) -> Iterator[httpx.Client]:
    with console.http(None) as client:
        yield client


def sign_in(client: httpx.Client, token: str = ADMIN, **headers: str) -> httpx.Response:
    return client.post("/login", data={"token": token, "next": "/v1/queues"}, headers=headers)


@pytest.mark.parametrize(
    "host", ["attacker.example", "127.0.0.1.nip.io:8080", "localhost.attacker.example", "", "[::1", "a b"]
)
def test_a_foreign_host_is_misdirected_whatever_it_asks(http: httpx.Client, host: str) -> None:
    for path in ("/", "/login", "/healthz", "/v1/jobs", "/_nicegui_ws/socket.io/?EIO=4&transport=polling"):
        assert http.get(path, headers={"Host": host}).status_code in (400, 421), path


def test_hosts_of_this_machine_and_those_named_are_served(tmp_path: Path) -> None:
    with running(tmp_path, allowed_hosts=("jobs.example.org",)) as console, console.http() as http:
        port = http.base_url.port
        for host in (
            "localhost",
            f"localhost:{port}",
            "LOCALHOST",
            f"127.0.0.1:{port}",
            "[::1]:99",
            "jobs.example.org",
        ):
            assert http.get("/healthz", headers={"Host": host}).status_code == 200, host
        assert http.get("/healthz", headers={"Host": "jobs.example.org.evil"}).status_code == 421
        proxied = {"Host": "localhost", "Origin": "https://jobs.example.org"}
        assert http.get("/healthz", headers=proxied).status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["http://attacker.example", "null", "http://127.0.0.1:1", "https://127.0.0.1", "file://", "http://localhost", "["],
)
def test_a_foreign_origin_is_refused_also_with_a_good_token(console: Running, http: httpx.Client, origin: str) -> None:
    is_problem(http.post("/v1/jobs", json={"task": "echo"}, headers={"Origin": origin}), 403)
    is_problem(http.get("/v1/jobs", headers={"Origin": origin}), 403)


def test_the_console_s_own_origin_is_served(console: Running, http: httpx.Client) -> None:
    assert http.get("/v1/queues", headers={"Origin": console.url}).status_code == 200


@pytest.mark.parametrize(
    "path", ["/v1/jobs", "/v1/queues", "/metrics", "/docs", "/openapi.json", "/v1/tokens", "/nothing", "/"]
)
def test_a_stranger_gets_nothing_but_the_sign_in_page(stranger: httpx.Client, path: str) -> None:
    answer = stranger.get(path)
    is_problem(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    page = stranger.get(path, headers=HTML)
    assert page.status_code == 303 and page.headers["location"].startswith("/login?next=%2F")


def test_a_wrong_token_or_scheme_is_refused(stranger: httpx.Client) -> None:
    for value in ("Bearer wrong", "Bearer", f"Basic {ADMIN}", f"Bearer {ADMIN}x"):
        assert stranger.get("/v1/queues", headers={"Authorization": value}).status_code in (401, 429)


def test_health_is_open_and_says_little(stranger: httpx.Client) -> None:
    assert stranger.get("/healthz").json() == {"status": "ok"}
    assert stranger.get("/readyz").json()["status"] == "ready"
    assert stranger.get("/queue/health").json()["status"] == "healthy"
    assert stranger.get("/queue/health", headers={"X-Forwarded-For": "10.0.0.1"}).status_code == 401


def test_signing_in_with_the_token_opens_and_signing_out_shuts(console: Running, stranger: httpx.Client) -> None:
    answer = sign_in(stranger)
    assert answer.status_code == 303 and answer.headers["location"] == "/v1/queues"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
    assert stranger.get("/v1/queues").status_code == 200
    kept = dict(stranger.cookies)
    assert stranger.post("/logout").status_code == 303
    stranger.cookies.update(kept)
    assert stranger.get("/v1/queues").status_code == 401
    assert {"session.begin", "session.end"} <= {row.action for row in audit.page(console.database)}


def test_a_wrong_token_shows_the_page_again_without_repeating_it(stranger: httpx.Client) -> None:
    answer = sign_in(stranger, "<script>alert(1)</script>")
    assert answer.status_code == 401 and "not known here" in answer.text and "alert(1)" not in answer.text
    assert "set-cookie" not in answer.headers


def test_a_foreign_site_cannot_sign_somebody_in(stranger: httpx.Client) -> None:
    assert sign_in(stranger, Origin="http://attacker.example").status_code == 403


def test_a_sign_in_link_works_once(console: Running, stranger: httpx.Client) -> None:
    link = console.console.access.sign_in_link(console.url)
    assert ADMIN not in link
    first = stranger.get(link)
    assert first.status_code == 303 and first.headers["location"] == "/"
    assert stranger.get("/v1/queues").status_code == 200
    with console.http(None) as other:
        assert other.get(link).status_code == 401
        assert other.get("/v1/queues").status_code == 401


def test_a_cookie_alone_changes_nothing_when_another_site_sends_it(stranger: httpx.Client) -> None:
    sign_in(stranger)
    for site in ("cross-site", "same-site"):
        answer = stranger.post("/v1/queues/default/pause", headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 401
    assert stranger.post("/v1/queues/default/resume", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_a_link_from_elsewhere_is_asked_for_once_more_so_that_the_cookie_comes_along(stranger: httpx.Client) -> None:
    answer = stranger.get('/jobs?q=state:dead"><script>', headers=HTML | {"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200 and 'http-equiv="refresh"' in answer.text and "<script>" not in answer.text


def test_a_forged_or_foreign_cookie_is_worth_nothing(console: Running, stranger: httpx.Client) -> None:
    sign_in(stranger)
    name, value = next(iter(stranger.cookies.items()))
    stranger.cookies.clear()
    for forged in ("A" + value[1:], value[:-9], "e30=.x.y", "null"):
        assert stranger.get("/v1/queues", headers={"Cookie": f"{name}={forged}"}).status_code == 401


def test_only_own_paths_are_gone_to_after_signing_in(console: Running) -> None:
    for target in (
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/\x00",
        "/login",
    ):
        with console.http(None) as client:
            answer = client.post("/login", data={"token": ADMIN, "next": target})
            assert answer.headers["location"] == "/", target


def is_braked_for_long(brake: Brake, address: str, guess: Callable[[], httpx.Response]) -> None:
    """Guess until it is refused, and so often that the wait, which begins with two seconds, outlasts the test."""
    until(lambda: guess().status_code == 429, what="guessing is braked")
    for _ in range(20):
        brake.failed(address)


def test_guessing_is_braked_and_the_right_token_must_wait_too(tmp_path: Path) -> None:
    with running(tmp_path) as console, console.http(None) as client:
        brake = console.console.access.brake
        assert [sign_in(client, f"guess-{n}").status_code for n in range(FREE + 1)] == [401] * (FREE + 1)
        is_braked_for_long(brake, "127.0.0.1", lambda: sign_in(client, "guess"))
        waiting = sign_in(client)
        assert waiting.status_code == 429 and int(waiting.headers["retry-after"]) >= 1
        strong = console.console.access.tokens.create("robot", "viewer")

        def guess() -> httpx.Response:
            return client.get("/v1/queues", headers={"Authorization": "Bearer guess"})

        is_braked_for_long(brake, "api 127.0.0.1", guess)
        braked = guess()
        assert braked.status_code == 429 and int(braked.headers["retry-after"]) >= 1
        assert client.get("/v1/queues", headers={"Authorization": f"Bearer {strong}"}).status_code == 200


def test_every_answer_carries_the_headers_that_keep_browsers_careful(
    http: httpx.Client, stranger: httpx.Client
) -> None:
    for answer in (
        http.get("/v1/queues"),
        stranger.get("/login"),
        stranger.get("/v1/jobs"),
        stranger.get("/", headers=HTML),
    ):
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["x-frame-options"] == "DENY"
        assert "server" not in answer.headers
    assert http.get("/v1/queues").headers["cache-control"] == "no-store"


def test_the_sign_in_page_needs_no_script_and_nothing_from_elsewhere(stranger: httpx.Client) -> None:
    page = stranger.get('/login?next=/jobs"><b>')
    assert page.status_code == 200 and "<script" not in page.text and "<b>" not in page.text
    assert not re.search(r"(?:src|href)=\"(?!/)", page.text)
    assert "'unsafe" not in page.headers["content-security-policy"]


def test_the_api_s_documentation_comes_from_this_machine_only(http: httpx.Client) -> None:
    page = http.get("/docs").text
    assert not re.findall(r"(?:src|href)=[\"'](?:https?:)?//", page)
    for asset in re.findall(r"(?:src|href)=[\"'](/[^\"']+)", page):
        assert http.get(asset).status_code == 200, asset
    paths = http.get("/openapi.json").json()["paths"]
    assert {
        "/v1/jobs",
        "/v1/jobs/bulk",
        "/v1/jobs/{id}/events",
        "/v1/queues/{queue}",
        "/queue/health",
        "/metrics",
    } <= paths.keys()
    body = paths["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert "task" in body["properties"]


def test_tokens_have_roles_and_a_revoked_one_is_worthless_at_once(console: Running, http: httpx.Client) -> None:
    made = http.post("/v1/tokens", json={"name": "watcher", "role": "viewer"})
    assert made.status_code == 201
    token = made.json()["token"]
    assert token not in http.get("/v1/tokens").text
    with console.http(token) as viewer:
        assert viewer.get("/v1/jobs").status_code == 200
        for refused in (
            viewer.post("/v1/jobs", json={"task": "echo"}),
            viewer.post("/v1/jobs/bulk", json={"jobs": [{"task": "echo"}]}),
            viewer.post("/v1/jobs/actions", json={"action": "retry", "filter": ""}),
            viewer.post("/v1/queues/default/pause"),
            viewer.patch("/v1/queues/default", json={"concurrency": 1}),
            viewer.get("/v1/tokens"),
            viewer.post("/v1/tokens", json={"name": "more", "role": "admin"}),
            viewer.post("/v1/keys/rotate"),
        ):
            is_problem(refused, 403)
        assert http.delete("/v1/tokens/watcher").status_code == 204
        is_problem(viewer.get("/v1/jobs"), 401)
    is_problem(http.delete("/v1/tokens/watcher"), 404)
    is_problem(http.delete("/v1/tokens/admin"), 409)
    is_problem(http.post("/v1/tokens", json={"name": "x", "role": "king"}), 422, "role")


def test_revoking_a_token_ends_the_sessions_made_with_it(console: Running) -> None:
    access = console.console.access
    token = access.tokens.create("visitor", "viewer")
    with console.http(None) as browser:
        assert sign_in(browser, token).status_code == 303
        assert browser.get("/v1/queues").status_code == 200
        assert browser.post("/v1/queues/default/pause").status_code == 403
        access.revoke("visitor")
        assert browser.get("/v1/queues").status_code == 401


def test_the_key_of_the_store_is_rotated_by_an_administrator(tmp_path: Path) -> None:
    with running(tmp_path, [works.__name__]) as console, console.http() as http:
        first = http.post("/v1/keys/rotate").json()["key"]
        assert first and http.post("/v1/keys/rotate").json()["key"] != first
        assert console.ended(make(http)["id"])["state"] == "completed"


def test_files_that_open_things_are_for_this_user_only(console: Running) -> None:
    keys = console.console.settings.home / "keys"
    for file in keys.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
    assert ADMIN not in "".join(file.read_text("latin-1") for file in keys.iterdir())


def test_what_was_done_and_by_whom_stands_in_the_audit(console: Running, http: httpx.Client) -> None:
    id = http.post("/v1/jobs", json={"task": "echo", "delay": 3600}).json()["id"]
    http.post(f"/v1/jobs/{id}/cancel").raise_for_status()
    console.console.trail.flush()
    acts = {(row.action, row.target): row for row in audit.page(console.database)}
    assert acts["job.cancel", id].actor == "admin (api)" and acts["job.cancel", id].outcome == "ok"
    assert ("job.enqueue", id) in acts
    assert audit.verify(console.database) is None


def test_actors_may_what_their_role_and_tenant_allow() -> None:
    assert Actor("a", "admin").may("access.manage") and not Actor("o", "operator").may("queue.limits")
    assert Actor("o", "operator", "acme").may("job.retry") and not Actor("o", "operator", "acme").may("queue.pause")
