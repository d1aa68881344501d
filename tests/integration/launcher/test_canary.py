"""Where what people entrust to the house ends up: a canary is sent through the real ``run.py``, then all files are searched."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.launched import Launched, launched, run
from tests.support.waiting import until
from tests.support.web import answer, site

CANARY = "canary-7f3a91c0"
SECRETS = {
    "HOLDFAST_PASSPHRASE": "a-passphrase-that-is-a-canary",
    "HOLDFAST_ADMIN_TOKEN": "an-admin-token-that-is-a-canary",
    "HOLDFAST_SECRET_WEBHOOKS_DEFAULT": "whsec_Y2FuYXJ5LW9mLXdlYmhvb2tz",
}
SETTINGS = {
    "HOLDFAST_KEY_SOURCE": "passphrase",
    "HOLDFAST_ALLOW_PRIVATE_ADDRESSES": "true",
    "HOLDFAST_LOG_LEVEL": "debug",
}
TASKS = ("--tasks", "tests.support.tasks_telling")


def files_with(text: str, *places: Path) -> list[Path]:
    """Files whose name or content holds the text."""
    files = [file for place in places for file in ([place] if place.is_file() else place.rglob("*")) if file.is_file()]
    assert files
    return [file for file in files if text.encode() in file.name.encode() + file.read_bytes()]


def enqueue(started: Launched, task: str, **options: object) -> str:
    with started.client as client:
        made = client.post("/v1/jobs", json={"task": task, "args": {"text": CANARY}} | options)
    assert made.status_code == 202, made.text
    return str(made.json()["id"])


def ended(started: Launched, *ids: str) -> bool:
    with started.client as client:
        states = {client.get(f"/v1/jobs/{id}").json()["state"] for id in ids}
    return states <= {"completed", "dead"}


def entrust(started: Launched) -> None:
    """Jobs of every kind that carry the canary, one of them still waiting, and a change of keys between them."""
    names = {"queue": f"queue-{CANARY}", "metadata": {CANARY: CANARY}, "correlation_id": CANARY}
    first = [enqueue(started, "telling.tell", idempotency_key=CANARY, tenant=CANARY, **names)]
    first += [enqueue(started, "telling.fail"), enqueue(started, "telling.tell_in_a_process")]
    with started.client as client:
        assert client.post("/v1/keys/rotate").status_code == 200
        for change in ("pause", "resume"):
            assert client.post(f"/v1/queues/queue-{CANARY}/{change}").status_code == 200
    enqueue(started, "telling.tell", delay=3600, unique_key=CANARY)
    last = enqueue(started, "telling.tell")
    until(lambda: ended(started, *first, last), 60, "all jobs end")


def use_secrets(started: Launched) -> None:
    """Sign in, be refused, and sign a webhook."""
    token = SECRETS["HOLDFAST_ADMIN_TOKEN"]
    assert httpx.post(f"{started.url}/login", data={"token": token}, timeout=60).status_code == 303
    wrong = {"Authorization": f"Bearer {token}x"}
    assert httpx.get(f"{started.url}/v1/jobs", headers=wrong, timeout=60).status_code == 401
    with site(answer(200)) as there:
        enqueue(started, "webhooks.deliver", args={"url": there.url(), "body": {"n": 1}})
        until(lambda: there.received, 60, "the delivery")
        assert "webhook-signature" in there.received[0].headers


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home that was killed in the middle of work, started again and stopped in order."""
    home = tmp_path_factory.mktemp("canary") / "home"
    with launched(home, *TASKS, env=SETTINGS | SECRETS) as started:
        entrust(started)
        use_secrets(started)
        assert not files_with(CANARY, home / "airgap", home / "keys"), "while it runs"
        started.stop(signal.SIGKILL)
    with launched(home, *TASKS, env=SETTINGS | SECRETS) as again:
        with again.client as client:
            waiting = {"state": "scheduled"}
            until(lambda: client.get("/v1/jobs", params=waiting).json()["jobs"], 60, "the waiting job is still there")
        assert again.stop() == 0
    yield home


def test_what_jobs_carry_stands_in_the_history_and_nowhere_in_the_store_or_beside_the_keys(homes: Path) -> None:
    assert files_with(CANARY, homes / "holdfast.db"), "history is plain SQL, so the search does find what is there"
    assert not files_with(CANARY, homes / "airgap", homes / "keys")


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_written_nowhere(homes: Path, name: str) -> None:
    assert not files_with(SECRETS[name], homes, Path(f"{homes}.out"))


def test_a_link_works_once_and_is_in_no_log(homes: Path) -> None:
    said = Path(f"{homes}.out").read_text()
    codes = [word.partition("token=")[2] for word in said.split() if "/login?token=" in word]
    assert len(codes) == 2
    assert not any(files_with(code, homes) for code in codes)


def test_the_password_of_a_database_is_not_repeated_when_it_cannot_be_reached(tmp_path: Path) -> None:
    url = "postgresql://holdfast:canary-of-a-password@127.0.0.1:1/none"
    done = run("--home", tmp_path / "home", "--no-browser", env={"HOLDFAST_DATABASE": url})
    assert done.returncode == 2 and "database" in done.stderr
    assert "canary-of-a-password" not in done.stdout + done.stderr
    assert not files_with("canary-of-a-password", tmp_path / "home")
