"""``python3 run.py`` itself: starting, stopping, being killed, and a second one on the same home."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
from pathlib import Path

import httpx
import pytest

from tests.support.launched import Launched, alive, command, environment, launched, run
from tests.support.waiting import until

TASKS = ("--tasks", "tests.support.tasks_launched")


def enqueue(started: Launched, task: str, **args: object) -> str:
    with started.client as client:
        answer = client.post("/v1/jobs", json={"task": task, "args": args})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def job(started: Launched, id: str) -> dict[str, object]:
    with started.client as client:
        answer = client.get(f"/v1/jobs/{id}")
    return answer.json() if answer.status_code == 200 else {}


def state(started: Launched, id: str) -> object:
    return job(started, id).get("state")


def test_it_starts_runs_a_job_and_stops_in_order(tmp_path: Path) -> None:
    with launched(tmp_path / "home", *TASKS) as started:
        id = enqueue(started, "launched.add", a=2, b=3)
        until(lambda: state(started, id) == "completed")
        assert job(started, id)["result"] == 5
        recorder = until(started.recorder)
        assert alive(recorder)
        assert started.stop(seconds=30) == 0
        until(lambda: not alive(recorder), what="the recorder ends")
    assert not (tmp_path / "home" / "console.json").exists()


def test_it_greets_with_a_link_that_signs_in_once_and_the_first_token(tmp_path: Path) -> None:
    with launched(tmp_path / "home") as started:
        said = until(lambda: (text := Path(f"{tmp_path}/home.out").read_text()) and "stop " in text and text)
        assert f"is running on {started.url}\n" in said
        assert "admin token  hf_" in said
        link = next(word for word in said.split() if "/login?token=" in word)
        with httpx.Client(follow_redirects=False, timeout=60) as browser:
            assert browser.get(link).status_code == 303
            assert browser.get(f"{started.url}/v1/queues").status_code == 200
        assert httpx.get(link, timeout=60).status_code in {401, 403}
        assert started.stop() == 0
    with launched(tmp_path / "home"):
        assert Path(f"{tmp_path}/home.out").read_text().count("admin token") == 1, "it is shown at the first start only"


def test_all_that_it_keeps_is_for_its_user_only(tmp_path: Path) -> None:
    with launched(tmp_path / "home", *TASKS) as started:
        id = enqueue(started, "launched.add", a=1, b=1)
        until(lambda: state(started, id) == "completed")
        for path in [tmp_path / "home", *(tmp_path / "home").rglob("*")]:
            with contextlib.suppress(FileNotFoundError):  # it works on, and what it writes anew takes another's place
                assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
        assert {"holdfast.db", "airgap", "keys", "logs"} <= {path.name for path in (tmp_path / "home").iterdir()}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_runs_at_the_stop_goes_back_to_its_queue_without_an_error(tmp_path: Path, number: int) -> None:
    with launched(tmp_path / "home", *TASKS) as started:
        id = enqueue(started, "launched.linger", seconds=60)
        until(lambda: state(started, id) == "running")
        assert started.stop(number, seconds=30) == 0
    with launched(tmp_path / "home", *TASKS) as again:
        until(lambda: state(again, id) == "running")
        attempts = job(again, id)["attempts"]
        assert isinstance(attempts, list)
        assert not any(attempt["error"] for attempt in attempts)


def test_a_killed_one_leaves_no_recorder_behind_and_loses_no_job(tmp_path: Path) -> None:
    with launched(tmp_path / "home", *TASKS) as started:
        recorder = until(started.recorder)
        ids = [enqueue(started, "launched.add", a=i, b=i) for i in range(20)]
        lingering = enqueue(started, "launched.wait_for", path=str(tmp_path / "restarted"))
        until(lambda: state(started, lingering) == "running")
        started.stop(signal.SIGKILL)
        until(lambda: not alive(recorder), 60)
    (tmp_path / "restarted").touch()
    with launched(tmp_path / "home", *TASKS) as again:
        until(lambda: all(state(again, id) == "completed" for id in [*ids, lingering]), 60)
        attempts = job(again, lingering)["attempts"]
        assert isinstance(attempts, list)
        assert any(attempt["rescued"] for attempt in attempts)


def test_a_killed_recorder_is_replaced_and_history_is_complete(tmp_path: Path) -> None:
    with launched(tmp_path / "home", *TASKS) as started:
        first = until(started.recorder)
        os.kill(first, signal.SIGKILL)
        ids = {enqueue(started, "launched.add", a=i, b=i) for i in range(10)}
        second = until(lambda: started.recorder() not in {0, first} and started.recorder())
        assert alive(second)
        with started.client as client:
            until(
                lambda: (
                    {row["id"] for row in client.get("/v1/jobs").json()["jobs"] if row["state"] == "completed"} == ids
                )
            )


def test_a_recorder_killed_at_its_fault_points_costs_no_history(tmp_path: Path) -> None:
    for point in ("recorder.before_commit", "recorder.after_commit"):
        home = tmp_path / point
        with launched(home, *TASKS, env={"HOLDFAST_FAULT": point}) as started:
            id = enqueue(started, "launched.add", a=1, b=2)
            until(lambda home=home: "the recorder ended with code -9" in Path(f"{home}.out").read_text())
            with started.client as client:
                until(lambda id=id, client=client: client.get("/v1/jobs?state=completed").json()["jobs"][:1] and True)
                assert [row["id"] for row in client.get("/v1/jobs").json()["jobs"]] == [id]


def test_keys_are_rotated_while_it_runs_and_history_goes_on(tmp_path: Path) -> None:
    with launched(tmp_path / "home", *TASKS) as started:
        before = enqueue(started, "launched.add", a=1, b=1)
        done = run("keys", "rotate", "--home", tmp_path / "home")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("sealing with key ")
        after = enqueue(started, "launched.add", a=2, b=2)
        with started.client as client:
            until(
                lambda: {row["id"] for row in client.get("/v1/jobs?state=completed").json()["jobs"]} == {before, after}
            )


def test_the_second_on_a_home_says_who_owns_it(tmp_path: Path) -> None:
    with launched(tmp_path / "home") as started:
        second = run("--home", tmp_path / "home", "--port", "0", "--no-browser")
        assert second.returncode == 2
        assert len(second.stderr.splitlines()) == 1
        assert f"in use by process {started.process.pid} on" in second.stderr
        assert httpx.get(f"{started.url}/readyz", timeout=60).status_code == 200


def test_a_taken_port_is_one_line_with_the_mend(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("--home", tmp_path / "home", "--port", str(taken.getsockname()[1]), "--no-browser")
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if line.startswith("holdfast:")] == done.stderr.splitlines()
    assert "use --port" in done.stderr


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (
            ("--port", "eighty"),
            "port: expected a whole number from 0 to 65,535, got 'eighty' (from --port); try --port 8080",
        ),
        (("--redis", "http://u:hunter2@localhost"), "redis: expected a URL that begins with redis://"),
        (("--durability", "redis"), "durability: redis needs a Redis and there is none"),
        (("--redis", "redis://u:hunter2@localhost/zero"), "redis: expected the number of a database"),
        (("--fault", "nonsense"), "there is no fault point 'nonsense'"),
        (("--database", "postgresql://u:hunter2@127.0.0.1:9/x"), "database: cannot use postgresql://127.0.0.1:9/x"),
        (("--config", "/no/such/file.toml"), "there is no file /no/such/file.toml"),
        (("--colour=red",), "unrecognized arguments: --colour=red"),
        (("jbos",), "did you mean jobs?"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(tmp_path: Path, argv: tuple[str, ...], words: str) -> None:
    done = (
        run(*argv)
        if argv == ("jbos",)
        else run(*argv, "--home", tmp_path / "home", *(() if "--port" in argv else ("--port", "0")))
    )
    said = [line for line in done.stderr.splitlines() if line.startswith("holdfast: ")]
    assert (done.returncode, done.stdout, len(said)) == (2, "", 1), done.stderr
    assert words in said[0]
    assert "hunter2" not in done.stderr


def test_its_version_is_that_of_the_project() -> None:
    assert run("--version").stdout.startswith("Holdfast 0.")


def test_tasks_that_cannot_be_loaded_are_one_line(tmp_path: Path) -> None:
    done = run("--home", tmp_path / "home", "--port", "0", "--tasks", "no.such.module")
    assert done.returncode == 2
    assert "no.such.module" in done.stderr.splitlines()[-1]


def test_a_stop_while_it_starts_is_no_accident(tmp_path: Path) -> None:
    with launched(tmp_path / "home", ready=False) as started:
        until(lambda: (tmp_path / "home" / "owner.lock").exists())
        assert started.stop(seconds=30) == 0


def test_a_wrong_passphrase_opens_nothing_and_changes_nothing(tmp_path: Path) -> None:
    env = {"HOLDFAST_KEY_SOURCE": "passphrase", "HOLDFAST_PASSPHRASE": "the right words"}
    with launched(tmp_path / "home", *TASKS, env=env) as started:
        enqueue(started, "launched.linger", seconds=0)
        assert started.stop() == 0
    wrong = run("--home", tmp_path / "home", "--port", "0", env=env | {"HOLDFAST_PASSPHRASE": "other words"})
    assert wrong.returncode in {1, 2}
    assert "the right words" not in wrong.stderr + wrong.stdout
    assert len(wrong.stderr.splitlines()) == 1
    with launched(tmp_path / "home", *TASKS, env=env) as again, again.client as client:
        until(lambda: len(client.get("/v1/jobs?state=completed").json()["jobs"]) == 1)


def test_the_recorder_alone_ends_when_nobody_gives_it_an_order(tmp_path: Path) -> None:
    import subprocess

    done = subprocess.run(
        command("recorder"), stdin=subprocess.DEVNULL, capture_output=True, env=environment(), timeout=180
    )
    assert done.returncode != 0
