"""Bundles over HTTP and by the command line: two consoles that only exchange files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.cli import bundles as commands
from console.cli import remote
from data import audit
from tests.console.api import works
from tests.console.api.test_jobs import is_problem
from tests.support.consoles import ADMIN, Running, running
from tests.support.waiting import until

FILE = {"Content-Type": "application/vnd.holdfast.bundle"}
JSON = "application/json"


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Running]]:
    """A home whose queue is paused, and one that works; they trust each other."""
    folder = tmp_path_factory.mktemp("homes")
    with (
        running(folder / "ship", [works.__name__], agent_name="ship") as ship,
        running(folder / "shore", [works.__name__], agent_name="shore") as shore,
    ):
        for one, other in ((ship, shore), (shore, ship)):
            with one.http() as http, other.http() as there:
                answer = http.post("/v1/airgap/trust", json={"card": there.get("/v1/airgap/identity").json()["card"]})
                assert answer.status_code == 201, answer.text
        with ship.http() as http:
            for queue in ("default", "held"):
                assert http.post(f"/v1/queues/{queue}/pause").status_code == 200
        yield ship, shore


def enqueued(home: Running, count: int = 2) -> list[str]:
    with home.http() as http:
        jobs = [{"task": "echo", "args": {"number": n}} for n in range(count)]
        answer = http.post("/v1/jobs/bulk", json={"jobs": jobs})
        assert answer.status_code == 202, answer.text
        return [job["id"] for job in answer.json()["jobs"]]


def test_a_bundle_goes_out_and_results_come_back(homes: tuple[Running, Running]) -> None:
    ship, shore = homes
    ids = enqueued(ship)
    with ship.http() as http, shore.http() as there:
        made = http.post("/v1/airgap/bundles", json={"to": ["shore"]})
        assert made.status_code == 201, made.text
        id = made.headers["x-holdfast-bundle"]
        assert made.content.startswith(b"HOLDFAST-BUNDLE") and made.headers["x-holdfast-jobs"] == "2"
        assert f"{id}.hfb" in made.headers["content-disposition"]
        assert http.get(f"/v1/airgap/bundles/{id}/file").content == made.content
        assert http.get(f"/v1/jobs/{ids[0]}").json()["state"] == "running"
        looked = there.post("/v1/airgap/bundles", params={"dry_run": True}, content=made.content, headers=FILE)
        assert (looked.status_code, looked.json()["new"], looked.json()["unknown_tasks"]) == (200, 0, [])
        taken = there.post("/v1/airgap/bundles", content=made.content, headers=FILE)
        assert (taken.status_code, taken.json()["new"], taken.json()["peer"]) == (201, 2, "ship")
        for id_ in ids:
            assert shore.ended(id_)["state"] == "completed"
        back = there.post("/v1/airgap/bundles", json={"to": ["ship"], "kind": "results"})
        assert http.post("/v1/airgap/bundles", content=back.content, headers=FILE).json()["new"] == 2
        ship.recorded()
        job = http.get(f"/v1/jobs/{ids[1]}").json()
        assert job["state"] == "completed" and job["result"]["number"] == 1
        assert [attempt["state"] for attempt in job["attempts"]] == ["completed"]
        assert http.get("/v1/airgap/bundles").json()["bundles"][-1]["state"] == "returned"
    written = audit.page(ship.database, action="bundle.make")
    assert written[0].target == id and audit.page(shore.database, action="bundle.take")[0].actor == "admin (api)"


def test_a_bundle_is_released_and_its_jobs_wait_again(homes: tuple[Running, Running]) -> None:
    ship, _ = homes
    ids = enqueued(ship, 3)
    with ship.http() as http:
        made = http.post("/v1/airgap/bundles", json={"to": ["shore"], "queues": ["default"], "limit": 2})
        id = made.headers["x-holdfast-bundle"]
        assert http.post(f"/v1/airgap/bundles/{id}/release").json() == {"id": id, "released": 2}
        assert {http.get(f"/v1/jobs/{id_}").json()["state"] for id_ in ids} == {"available"}
        is_problem(http.get(f"/v1/airgap/bundles/{id}/file"), 404)
        is_problem(http.post("/v1/airgap/bundles/nothing/release"), 404)
    assert ship.engine.delete(ids) == set(ids)


def test_what_is_wrong_is_said_and_leaves_nothing_behind(homes: tuple[Running, Running]) -> None:
    ship, _ = homes
    with ship.http() as http:
        wrong = [
            ({"to": []}, "to"), ({"to": ["shore"], "states": ["dead"]}, "states"), ({"to": ["shore"], "kind": "all"}, "kind"),
            ({"to": ["shore"], "limit": 0}, "limit"), ({"to": ["shore", "shore"], "kind": "results"}, "to"),
        ]  # fmt: skip
        for asked, field in wrong:
            answer = http.post("/v1/airgap/bundles", json=asked)
            is_problem(answer, 422)
            assert answer.json()["field"] == field
        is_problem(http.post("/v1/airgap/bundles", json={"to": ["moon"]}), 404)
        is_problem(http.post("/v1/airgap/bundles", json={"to": ["shore"], "queues": ["empty"]}), 404)
        for content in (b"", b"HOLDFAST-BUNDLE", b"a picture of a cat" * 1000):
            answer = http.post("/v1/airgap/bundles", content=content, headers=FILE)
            is_problem(answer, 422)
            assert answer.json()["field"] == "bundle"
        is_problem(http.post("/v1/airgap/trust", json={"card": "holdfast-node:1:x:AAAA"}), 422)
        own = http.get("/v1/airgap/identity").json()["card"]
        is_problem(http.post("/v1/airgap/trust", json={"card": own}), 409)
        is_problem(http.delete("/v1/airgap/trust/moon"), 404)
        assert len(http.get("/v1/airgap/trust").json()["trusted"]) == 1
    assert not list((ship.console.settings.home / "bundles").glob("*.part"))


def test_only_an_admin_of_all_tenants_makes_and_takes_bundles(homes: tuple[Running, Running]) -> None:
    ship, _ = homes
    create = ship.console.access.tokens.create
    readers = {create("vera", "viewer"): 200, create("otto", "operator"): 200, create("amy", "admin", "acme"): 403}
    for token, status in readers.items():
        with ship.http(token) as http:
            assert http.get("/v1/airgap/bundles").status_code == status
            assert http.get("/v1/airgap/identity").status_code == status
            is_problem(http.post("/v1/airgap/bundles", json={"to": ["shore"]}), 403)
            is_problem(http.post("/v1/airgap/bundles", content=b"x" * 100, headers=FILE), 403)
            is_problem(http.post("/v1/airgap/trust", json={"card": "x"}), 403)
            is_problem(http.post("/v1/airgap/bundles/x/release"), 403)
    with ship.http(None) as http:
        is_problem(http.get("/v1/airgap/bundles"), 401)


def airgap(home: Running, *argv: str) -> int:
    """An operator's command against a console."""
    parser, offered = remote.commands("airgap", "for tests")
    commands.add(offered)
    return remote.run(parser, [*argv, "--url", home.url, "--token", ADMIN])


def test_an_operator_does_it_all_by_the_command_line(
    homes: tuple[Running, Running], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ship, shore = homes
    ids = enqueued(ship)
    out, back = tmp_path / "out.hfb", tmp_path / "back.hfb"
    assert airgap(ship, "export", "--to", "shore", "--queue", "default", str(out)) == 0
    assert f"with 2 jobs is in {out}" in capsys.readouterr().out and out.stat().st_mode & 0o077 == 0
    assert airgap(shore, "import", str(out), "--dry-run") == 0
    assert "only looked at" in capsys.readouterr().out
    assert airgap(shore, "import", str(out)) == 0
    assert "2 new" in capsys.readouterr().out
    until(lambda: all(shore.engine.job(id_).state == "completed" for id_ in ids), 60, "the jobs end there")
    assert airgap(shore, "export", "--results", "--to", "ship", str(back), "--json") == 0
    made = json.loads(capsys.readouterr().out)
    again = tmp_path / "again.hfb"
    assert airgap(shore, "export", "--again", made["id"], str(again)) == 0
    assert again.read_bytes() == back.read_bytes()
    assert airgap(ship, "import", str(again), "--json") == 0
    capsys.readouterr()
    assert airgap(ship, "bundles") == 0
    assert "returned" in capsys.readouterr().out
    assert airgap(ship, "identity") == 0 and capsys.readouterr().out.startswith("holdfast-node:1:ship:")
    assert airgap(ship, "trusted") == 0 and "shore" in capsys.readouterr().out
    assert {ship.engine.job(id_).state for id_ in ids} == {"completed"}


def test_a_file_that_was_not_written_is_not_left_behind(
    homes: tuple[Running, Running], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from engine.kernel.errors import HoldfastError

    ship, _ = homes
    file = tmp_path / "none.hfb"
    with pytest.raises(HoldfastError, match="no job"):
        airgap(ship, "export", "--to", "shore", "--queue", "empty", str(file))
    assert not file.exists()
    file.write_bytes(b"mine")
    with pytest.raises(commands.NoFile, match="not there yet"):
        airgap(ship, "export", "--to", "shore", str(file))
    assert file.read_bytes() == b"mine"
