"""``run.py keys rewrap``: another source or secret opens a home from then on, and what opened it before does not."""

from __future__ import annotations

import base64
import os
import pty
import subprocess
from pathlib import Path

import pytest

from airgap.keys import KeyRing
from tests.support.launched import command, environment, launched, run
from tests.support.waiting import until

WORDS, OTHERS = "several words in a row", "other words in a row"
KEY = base64.b64encode(bytes(range(32))).decode()
BY_WORDS = {"HOLDFAST_KEY_SOURCE": "passphrase", "HOLDFAST_PASSPHRASE": WORDS}


def files_of(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (home / "keys").iterdir()}


def secrets_in(file: Path) -> list[str]:
    return [text for text in (WORDS, KEY) if text.encode() in file.read_bytes()]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home opened by a file, with one job that waits."""
    with launched(tmp_path / "home") as started:
        with started.client as client:
            job = {"task": "documents.extract", "args": {"path": "sample.pdf"}, "delay": 3600}
            (tmp_path / "id").write_text(client.post("/v1/jobs", json=job).json()["id"])
        assert started.stop() == 0
    return tmp_path / "home"


@pytest.fixture
def keys_only(tmp_path: Path) -> Path:
    """A home whose keys were made, by a file, and nothing else."""
    KeyRing.open(tmp_path / "home" / "keys", "file")
    return tmp_path / "home"


def still_has_its_job(home: Path, **env: str) -> bool:
    with launched(home, env=env) as started:
        with started.client as client:
            found = client.get(f"/v1/jobs/{(home.parent / 'id').read_text()}").json()
        return started.stop() == 0 and found["state"] == "scheduled"


def test_a_home_goes_from_a_file_to_a_passphrase_to_a_key_and_back(home: Path) -> None:
    done = run("keys", "rewrap", "--to", "passphrase", "--home", home, env={"HOLDFAST_NEW_PASSPHRASE": WORDS})
    assert done.returncode == 0 and "start with HOLDFAST_KEY_SOURCE=passphrase" in done.stdout, done.stderr
    assert not (home / "keys" / "master.key").exists() and WORDS not in done.stdout
    by_file = run("--home", home, "--no-browser")
    assert by_file.returncode == 2 and "HOLDFAST_KEY_SOURCE=passphrase" in by_file.stderr
    assert still_has_its_job(home, **BY_WORDS)
    done = run("keys", "rewrap", "--to", "environment", "--home", home, env=BY_WORDS | {"HOLDFAST_NEW_KEY": KEY})
    assert done.returncode == 0, done.stderr
    assert run("--home", home, "--no-browser", env=BY_WORDS).returncode == 2
    by_key = {"HOLDFAST_KEY_SOURCE": "environment", "HOLDFAST_KEY": KEY}
    assert run("keys", "rewrap", "--to", "file", "--home", home, env=by_key).returncode == 0
    assert still_has_its_job(home)
    written = [file for file in home.rglob("*") if file.is_file() and secrets_in(file)]
    assert not written, "secrets stand in no file"


def test_a_wrong_old_secret_is_refused_and_changes_nothing(keys_only: Path) -> None:
    assert (
        run(
            "keys", "rewrap", "--to", "passphrase", "--home", keys_only, env={"HOLDFAST_NEW_PASSPHRASE": WORDS}
        ).returncode
        == 0
    )
    before = files_of(keys_only)
    wrong = BY_WORDS | {"HOLDFAST_PASSPHRASE": OTHERS, "HOLDFAST_NEW_PASSPHRASE": "new words in a row"}
    done = run("keys", "rewrap", "--to", "passphrase", "--home", keys_only, env=wrong)
    assert done.returncode == 1 and "nothing was changed" in done.stderr and OTHERS not in done.stderr
    assert files_of(keys_only) == before
    assert run("keys", "rewrap", "--to", "file", "--home", keys_only).returncode == 2, "it is no file that opens it"
    assert files_of(keys_only) == before


def test_a_running_home_is_to_be_stopped_first(tmp_path: Path) -> None:
    with launched(tmp_path / "home") as started:
        before = files_of(started.home)
        done = run(
            "keys", "rewrap", "--to", "passphrase", "--home", started.home, env={"HOLDFAST_NEW_PASSPHRASE": WORDS}
        )
        assert done.returncode == 2 and f"in use by process {started.process.pid}" in done.stderr
        assert "stop it first" in done.stderr and files_of(started.home) == before


@pytest.mark.parametrize(
    ("to", "env", "words"),
    [
        ("passphrase", {}, "set HOLDFAST_NEW_PASSPHRASE"),
        ("environment", {}, "set HOLDFAST_NEW_KEY"),
        ("environment", {"HOLDFAST_NEW_KEY": "short"}, "openssl rand -base64 32"),
        ("file", {}, "by a file already"),
        ("keyring", {}, "invalid choice"),
    ],
)
def test_without_a_right_new_secret_nothing_is_changed(
    keys_only: Path, to: str, env: dict[str, str], words: str
) -> None:
    before = files_of(keys_only)
    done = run("keys", "rewrap", "--to", to, "--home", keys_only, env=env)
    assert done.returncode == 2 and words in done.stderr and len(done.stderr.splitlines()) == 1
    assert files_of(keys_only) == before


def test_a_home_without_a_store_has_nothing_to_rewrap(tmp_path: Path) -> None:
    done = run("keys", "rewrap", "--to", "passphrase", "--home", tmp_path, env={"HOLDFAST_NEW_PASSPHRASE": WORDS})
    assert done.returncode == 1 and "there is no store" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("again", "code"), [(WORDS, 0), (OTHERS, 2)])
def test_at_a_terminal_the_new_passphrase_is_asked_for_twice_and_not_shown(
    keys_only: Path, again: str, code: int
) -> None:
    master, terminal = pty.openpty()
    asked = subprocess.Popen(
        command("keys", "rewrap", "--to", "passphrase", "--home", keys_only),
        stdin=terminal, stdout=terminal, stderr=terminal, env=environment(), start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    said = b""
    for prompt, typed in ((b"New passphrase: ", WORDS), (b"Once more: ", again)):
        while prompt not in said:
            said += os.read(master, 1024)
        os.write(master, typed.encode() + b"\n")
    try:
        while more := os.read(master, 1024):
            said += more
    except OSError:
        until(lambda: asked.poll() is not None, 60, "the command ends")
    os.close(master)
    assert asked.wait(60) == code, said
    assert WORDS.encode() not in said and (keys_only / "keys" / "master.key").exists() == (code != 0)
