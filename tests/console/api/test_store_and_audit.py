"""``/v1/store`` and ``/v1/audit``: what was set aside is looked at and acknowledged; who did what is read by admins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from data import audit
from tests.console.api.test_jobs import is_problem
from tests.support.consoles import Running, running
from tests.support.journals import hurt, some_jobs, store_in


@pytest.fixture
def damaged(tmp_path: Path) -> Iterator[Running]:
    """A console over a store one of whose segments was hurt."""
    store = store_in(tmp_path)
    for job in some_jobs(3):
        store.put([job])
    store.close()
    hurt(tmp_path, 2)
    with running(tmp_path) as made:
        yield made


def test_what_was_set_aside_is_listed_acknowledged_and_needs_attention_no_more(damaged: Running) -> None:
    def titles() -> list[str]:
        return [item.title for item in damaged.console.feed.sample().attention]

    with damaged.http() as http:
        facts = http.get("/v1/store").json()
        (item,) = facts["quarantined"]
        assert (facts["kind"], facts["level"], facts["unacknowledged"]) == ("journal", "ok", 1)
        assert item["what"] == "segment 2" and item["at"].endswith("Z") and not item["acknowledged"]
        assert titles() == ["1 entry of the store set aside"]
        assert http.post("/v1/store/quarantine/acknowledge").json() == {"acknowledged": 1}
        again = http.get("/v1/store").json()
        assert again["unacknowledged"] == 0 and again["quarantined"][0]["acknowledged"]
        assert titles() == []
        assert http.post("/v1/store/quarantine/acknowledge").json() == {"acknowledged": 0}
    written = audit.page(damaged.database, action="store.acknowledge")
    assert [(row.actor, row.target) for row in written] == [("admin (api)", "1 set aside")]


def test_a_store_that_has_lost_all_its_jobs_is_no_fresh_one(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.put(some_jobs(1))
    store.close()
    hurt(tmp_path, 1)
    with running(tmp_path) as console:
        assert not console.console.feed.sample().empty
        console.console.engine.store.acknowledge_quarantined()  # type: ignore[attr-defined]
        assert console.console.feed.sample().empty


def test_only_an_admin_of_all_tenants_acknowledges_and_reads_the_audit(damaged: Running) -> None:
    create = damaged.console.access.tokens.create
    readers = {create("vera", "viewer"): 200, create("otto", "operator"): 200, create("amy", "admin", "acme"): 403}
    for token, status in readers.items():
        with damaged.http(token) as http:
            is_problem(http.post("/v1/store/quarantine/acknowledge"), 403)
            is_problem(http.get("/v1/audit"), 403)
            assert http.get("/v1/store").status_code == status
    with damaged.http(None) as http:
        is_problem(http.get("/v1/store"), 401)
    with damaged.http() as http:
        assert http.get("/v1/store").json()["unacknowledged"] == 1


def test_the_audit_is_read_a_page_at_a_time_newest_first(console: Running, http: httpx.Client) -> None:
    for queue in ("default", "held", "default"):
        assert http.post(f"/v1/queues/{queue}/pause").status_code == 200
        assert http.post(f"/v1/queues/{queue}/resume").status_code == 200
    first = http.get("/v1/audit", params={"action": "queue.pause", "limit": 2}).json()
    assert [entry["target"] for entry in first["entries"]] == ["default", "held"]
    assert first["entries"][0]["actor"] == "admin (api)" and first["entries"][0]["at"].endswith("Z")
    query = {"action": "queue.pause", "limit": 2, "cursor": first["next_cursor"]}
    last = http.get("/v1/audit", params=query).json()
    assert [entry["target"] for entry in last["entries"]] == ["default"] and last["next_cursor"] is None
    assert {entry["action"] for entry in http.get("/v1/audit", params={"q": "HELD"}).json()["entries"]} == {
        "queue.pause",
        "queue.resume",
    }
    assert http.get("/v1/audit", params={"actor": "nobody"}).json() == {"entries": [], "next_cursor": None}


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 501}, {"cursor": "x"}, {"cursor": 0}])
def test_a_wrong_question_to_the_audit_names_its_field(http: httpx.Client, query: dict[str, object]) -> None:
    answer = http.get("/v1/audit", params=query)
    is_problem(answer, 422)
    assert answer.json()["field"] == next(iter(query))
