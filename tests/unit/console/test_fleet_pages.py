"""What the fleet's pages compute before anything is drawn: filters, figures, words, forms, conflicts and proofs."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from airgap.view import AirView, Progress
from console.pages.agents_rows import Filter, capabilities_of, drawer_of, figures_of, filter_of, list_props, told
from console.pages.air_gap_past import Past
from console.pages.air_gap_shown import conflict_of, link_props, proof_of
from console.pages.forms import chosen, number, words
from console.pages.shell import air_props
from data.linkshapes import ConflictRow, ProofLane, ProofRow
from engine.fleet.base import AgentView, CurrentJob, Sent
from engine.kernel.errors import ValidationError
from engine.observe.health import Figures, needs_attention

BODY = b'{"sent":true}'


def agent(id: str = "a", **fields: Any) -> AgentView:
    plain = dict.fromkeys(("fleet", "node", "host", "version"), "") | {"name": id, "presence": "online"}
    counts = dict.fromkeys(("pid", "concurrency", "busy", "started_at", "seen_at", "memory", "done", "failed"), 0)
    empty = {"capabilities": (), "tenants": (), "queues": (), "paused": False, "cpu": 0.0, "mean_seconds": 0.0}
    return AgentView(**{"id": id} | plain | counts | empty | fields)  # type: ignore[arg-type]


def conflict(**fields: Any) -> ConflictRow:
    common: dict[str, Any] = {"id": "c", "at": 1.0, "job": "j", "queue": "q", "kind": "late", "node": "n", "first": ""}
    later = {"later": hashlib.sha256(BODY).hexdigest(), "body": msgspec.Raw(BODY), "body_whole": True}
    return ConflictRow(**common | later | fields)


def proof(at: float) -> ProofRow:
    lanes = (ProofLane("q", "jobs", 7, "ab", 7, "ab"), ProofLane("q", "ends", 9, "cd", 8, "ef"))
    return ProofRow(
        at=at, node="n", epoch=1, began_at=at - 2, events=5, bytes=50, conflicts=0, rewound=0, equal=False, lanes=lanes
    )


def test_the_address_of_a_filter_gives_the_same_filter() -> None:
    asked = Filter("paused", "gpu", "a-1")
    assert filter_of(asked.query) == asked
    assert filter_of({"presence": "nonsense", "agent": "x"}) == Filter(agent="x")


def test_a_filter_leaves_those_of_a_chip_and_a_capability() -> None:
    fleet = [agent("a", capabilities=("gpu",)), agent("b", paused=True), agent("c", presence="lost", paused=True)]
    shown = list_props(fleet, Filter("paused"), "a")
    assert [row["id"] for row in shown["rows"]] == ["b"]
    assert [(chip["value"], chip["n"]) for chip in shown["chips"]] == [
        ("", 3),
        ("online", 2),
        ("paused", 1),
        ("lost", 1),
    ]
    assert [row["id"] for row in list_props(fleet, Filter("", "gpu"), "a")["rows"]] == ["a"]


def test_a_capability_that_nobody_has_any_more_can_still_be_unpicked() -> None:
    assert list_props([agent()], Filter("", "gpu"), "a")["capabilities"] == ["gpu"]


def test_the_mark_of_a_history_is_no_capability_for_people() -> None:
    assert capabilities_of([agent(capabilities=("history.0a1b", "gpu"))]) == {"gpu"}


def test_a_row_names_one_running_job_and_counts_the_others() -> None:
    busy = agent(busy=20, current=(CurrentJob("j1", "mail.send", "emails", 1.0), CurrentJob("j2", "x", "y", 2.0)))
    (row,) = list_props([busy], Filter(), "a")["rows"]
    assert row["job"] == {"id": "j1", "task": "mail.send"} and row["others"] == 19 and row["me"]
    assert [job["id"] for job in drawer_of(busy)["current"]] == ["j1", "j2"]


def test_a_long_fleet_is_cut_and_says_how_many_are_not_shown() -> None:
    shown = list_props([agent(str(n)) for n in range(230)], Filter(), "")
    assert len(shown["rows"]) == 200 and shown["more"] == 30


def test_figures_of_a_fleet_are_of_those_who_are_there() -> None:
    fleet = [agent("a", concurrency=8, busy=2, done=30, failed=3, mean_seconds=0.2), agent("b", presence="lost")]
    here, slots, done, mean, memory = figures_of(fleet)
    assert (here["value"], here["unit"], here["strong"]) == ("1", "of 2", "1 lost")
    assert (slots["value"], slots["unit"], slots["share"]) == ("2", "of 8", 0.25)
    assert done["strong"] == "10.0 %" and (mean["value"], mean["unit"]) == ("200", "ms")
    assert (memory["value"], memory["unit"]) == ("0", "B")


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (Sent(delivered=1), "Done"),
        (Sent(buffered=1), "Kept for 1 agent that is away"),
        (Sent(1, 2, 1), "Done; kept for 2 agents that are away; refused by 1 agent: too many messages wait there"),
        (Sent(), "Nobody to tell"),
    ],
)
def test_what_became_of_a_message_is_told_in_words(sent: Sent, said: str) -> None:
    assert told(sent, "done") == said


def test_numbers_of_a_form_are_whole_or_wrong_at_their_field() -> None:
    assert number({"n": " 12 "}, "n") == 12 and number({}, "n", 3) == 3
    for wrong in ("-1", "1.5", "many", "9" * 10):
        with pytest.raises(ValidationError) as caught:
            number({"n": wrong}, "n")
        assert caught.value.field == "n"


def test_a_form_takes_nothing_but_text_and_lists_from_a_browser() -> None:
    assert words({"a": None, "b": 5}, "a") == "" and words({"b": 5}, "b") == "5"
    assert chosen({"a": "x"}, "a") == [] and chosen({"a": ["x", 1]}, "a") == ["x", "1"]


def test_the_strip_tells_a_share_only_while_redis_catches_up() -> None:
    air = AirView("recovering", progress=Progress(30, 120))
    assert air_props(air)["share"] == 0.25
    assert air_props(msgspec.structs.replace(air, state="connected"))["share"] is None


def test_who_was_lost_while_the_link_is_cut_counts_among_the_others() -> None:
    fleet = [agent("me"), agent("b", presence="lost"), agent("c", presence="stopped"), agent("d", console=True)]
    assert link_props(AirView("airgapped"), "", fleet, "me")["others"] == {"here": 2, "consoles": 1}
    assert link_props(AirView("connected"), "", fleet, "me")["others"] == {"here": 1, "consoles": 1}


def test_lanes_of_a_proof_are_equal_when_number_and_chain_are() -> None:
    assert [lane["equal"] for lane in proof_of(proof(9.0))["lanes"]] == [True, False]


def test_the_proof_of_the_link_goes_before_that_of_history() -> None:
    past = Past(proofs=[proof_of(proof(9.0)), proof_of(proof(5.0))])
    assert past.proof_props(AirView())["proof"]["at"] == 9.0
    assert [row["at"] for row in past.proof_props(AirView())["earlier"]] == [5.0]
    assert Past().proof_props(AirView()) == {"proof": None, "earlier": []}


def test_a_conflict_shows_both_results_and_why_none_can_be_taken() -> None:
    shown = conflict_of(conflict(result=msgspec.Raw(BODY)), lambda _: "it is cut")
    assert shown["same"] and not shown["takeable"] and shown["refusal"] == "It is cut"
    assert shown["body"] == shown["result"] == '{\n  "sent": true\n}'
    other = conflict_of(conflict(result=None, body=msgspec.Raw(b"null")), lambda _: "")
    assert (other["same"], other["takeable"], other["result"], other["body"]) == (False, True, "", "")


def test_a_long_result_is_cut() -> None:
    raw = msgspec.Raw(msgspec.json.encode("x" * 10_000))
    assert len(conflict_of(conflict(body=raw), lambda _: "")["body"]) < 4_100


def test_more_of_the_past_is_asked_for_step_by_step() -> None:
    past = Past().more_changes().more_conflicts().turn()
    assert (past.asked.changes, past.asked.conflicts, past.asked.all) == (24, 10, True)


def test_a_cut_link_conflicts_and_lost_agents_need_a_person() -> None:
    cut = needs_attention(Figures(link="airgapped", link_since=5.0, link_reason="no answer", unsynced=1))
    assert [(item.title, item.since, item.link) for item in cut] == [("Redis cannot be reached", 5.0, "/air-gap")]
    assert "1 event waits for Redis. no answer" in cut[0].text
    assert needs_attention(Figures(link="airgapped", link_forced=True))[0].title == "The link to Redis is cut by hand"
    found = needs_attention(Figures(conflicts=2, agents_lost=1, link="connected"))
    assert [item.title for item in found] == ["2 conflicts to decide", "1 agent is lost"]
