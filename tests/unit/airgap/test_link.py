"""The link's decisions: when it is lost, when it is back, and who may keep it cut.  Time is a number here."""

from __future__ import annotations

import pytest
from hypothesis import settings as depth
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from airgap.breaker import LEAST_HOLD, MOST_HOLD
from airgap.failover import MODES, LinkMemory, LinkState, Transition
from airgap.view import AIRGAPPED, CONNECTED, RECOVERING
from engine.kernel.errors import Conflict
from engine.storage.lanes import Pulse


class Story:
    """A link, the time, and a Redis that counts."""

    def __init__(self, mode: str = "automatic", memory: LinkMemory | None = None, held_for: float = 0.0) -> None:
        self.now = 100.0
        self.link = LinkState(mode, self.now, memory, held_for=held_for, dice=lambda: 0.0)
        self.history, self.beat = "first", 0

    def good(self, latency: float = 0.001) -> Transition | None:
        self.beat += 1
        return self.link.answered(self.now, latency, Pulse(self.history, self.beat, 0.0))

    def bad(self, why: str = "refused") -> Transition | None:
        return self.link.unanswered(self.now, why)

    def wait(self, seconds: float, step: float = 0.1) -> Transition | None:
        """Let time pass as the watch sees it; the first change."""
        for _ in range(round(seconds / step)):
            self.now += step
            if (made := self.link.look(self.now)) is not None:
                return made
        return None

    def connect(self) -> None:
        if self.link.state == AIRGAPPED:
            self.good()
        assert self.link.recovered(self.link.round) is not None

    def lose(self) -> Transition:
        made = [self.bad() for _ in range(3)][-1]
        assert made is not None
        return made

    def come_back(self, patience: float = 200.0) -> float:
        """Probe every 0.4 s until the link is back; the seconds it took."""
        began = self.now
        while self.link.state == AIRGAPPED and self.now - began < patience:
            self.now += 0.4
            self.good()
        return self.now - began


def connected(mode: str = "automatic") -> Story:
    story = Story(mode)
    if mode == "airgap-safe":
        story.link.release(story.now, "amy")
    story.connect()
    return story


def test_the_first_good_probe_begins_the_resync_and_its_end_connects() -> None:
    story = Story()
    assert (story.link.state, story.link.reason) == (AIRGAPPED, "starting")
    assert story.good() == Transition(RECOVERING, "Redis answers")
    assert story.link.recovered(story.link.round) == Transition(CONNECTED, "in step with Redis")


def test_a_redis_that_is_not_there_at_the_start_is_told_once() -> None:
    story = Story()
    assert [story.bad("refused"), story.bad("refused")] == [None, None]
    assert story.bad("refused") == Transition(AIRGAPPED, "Redis cannot be reached: refused")
    assert story.bad() is None and story.wait(10) is None
    assert story.link.failovers == 0


def test_three_failures_in_a_row_lose_it_and_a_good_one_between_does_not() -> None:
    story = connected()
    assert [story.bad(), story.bad(), story.good(), story.bad(), story.bad()] == [None] * 5
    assert story.link.suspect
    assert story.bad() == Transition(AIRGAPPED, "3 probes failed: refused")
    assert story.link.failovers == 1


def test_two_seconds_of_silence_lose_it() -> None:
    story = connected()
    story.good(latency=0.3)
    assert story.wait(1.4) is None
    made = story.wait(0.2)
    assert made == Transition(AIRGAPPED, "no answer for 1.8 s")


def test_time_in_which_the_process_stood_still_says_nothing_about_redis() -> None:
    story = connected()
    story.now += 30
    assert story.link.look(story.now) is None
    assert story.good(latency=30.0) is None
    assert story.link.state == CONNECTED


def test_many_failed_calls_between_two_probes_count_as_one() -> None:
    story = connected()
    assert story.link.call_failed("reset")
    assert not any(story.link.call_failed("reset") for _ in range(50))
    assert story.link.look(story.now) is None and story.link.suspect
    story.bad()
    assert story.link.call_failed("reset")
    assert story.link.look(story.now) == Transition(AIRGAPPED, "3 probes failed: reset")


def test_a_call_that_works_takes_back_the_doubt_of_calls_and_not_that_of_probes() -> None:
    story = connected()
    story.link.call_failed("reset")
    story.link.call_worked()
    assert not story.link.suspect
    story.bad()
    story.link.call_failed("reset")
    story.link.call_worked()
    assert story.link.suspect


def test_it_is_back_after_three_good_probes_within_five_seconds() -> None:
    story = connected()
    story.lose()
    story.wait(2)
    for pause in (3.0, 3.0, 3.0):  # too rare to be trusted
        story.now += pause
        assert story.good() is None
    story.now += 0.4
    story.bad()
    for _ in range(2):
        story.now += 0.4
        assert story.good() is None
    story.now += 0.4
    assert story.good() == Transition(RECOVERING, "Redis answers")


def test_the_hold_doubles_while_it_flaps_and_is_short_again_after_a_quiet_minute() -> None:
    story = connected()
    waits = []
    for _ in range(8):
        story.lose()
        waits.append(story.come_back())
        story.connect()
    assert all(hold <= wait <= hold + 1.0 for hold, wait in zip((1, 2, 4, 8, 16, 32, 60, 60), waits, strict=True))
    story.now += 61
    story.good()
    story.lose()
    assert story.come_back() < 2


def test_a_return_that_fails_counts_as_flapping() -> None:
    story = connected()
    for _ in range(4):
        story.lose()
        story.come_back()
        assert story.link.recovery_failed(story.now, story.link.round, "reset", stopped=False) is not None
        story.come_back()
        story.connect()
    assert story.link.breaker.hold >= 16


@pytest.mark.parametrize(
    ("pulse", "reason"),
    [
        (Pulse("first", 5, 0.0), "Redis went back in time"),
        (Pulse("second", 1, 0.0), "Redis was emptied or exchanged"),
        (Pulse("first", 99, 0.0), "another process counts as this node: was its home copied?"),
    ],
)
def test_a_redis_that_is_not_where_it_was_is_resynced(pulse: Pulse, reason: str) -> None:
    story = connected()
    for _ in range(9):
        story.good()
    before = story.link.round
    assert story.link.answered(story.now, 0.001, pulse) == Transition(RECOVERING, reason)
    assert story.link.history_changed and story.link.round == before + 1
    assert story.link.recovered(before) is None
    assert story.link.recovered(before + 1) is not None and not story.link.history_changed


def test_a_call_that_finds_redis_elsewhere_begins_a_resync_once() -> None:
    story = connected()
    assert story.link.regressed("a gap in emails/jobs") == Transition(RECOVERING, "a gap in emails/jobs")
    assert story.link.regressed("a gap in emails/jobs") is None and story.link.history_changed


def test_probes_that_were_not_answered_may_have_been_counted() -> None:
    story = connected()
    story.bad()
    story.bad()
    story.beat += 2
    assert story.good() is None and story.link.state == CONNECTED


def test_a_redis_that_goes_back_during_a_resync_begins_another_one() -> None:
    story = connected()
    story.lose()
    story.come_back()
    before = story.link.round
    story.beat -= 2
    assert story.good() == Transition(RECOVERING, "Redis went back in time")
    assert story.link.recovered(before) is None
    assert story.link.recovery_failed(story.now, before, "late", stopped=False) is None


def test_what_is_forced_stays_cut_until_it_is_released() -> None:
    story = connected()
    assert story.link.force("amy", "cable work") == Transition(AIRGAPPED, "cable work", True, "amy")
    assert story.link.silent and story.link.force("bob", "") is None
    assert story.come_back(30) >= 30
    with pytest.raises(Conflict, match="release it first"):
        story.link.hurry(story.now)
    assert story.link.release(story.now, "amy") == Transition(AIRGAPPED, "released; waiting for Redis", False, "amy")
    assert story.good() == Transition(RECOVERING, "Redis answers")
    assert story.link.failovers == 0


def test_what_was_forced_before_a_restart_still_is() -> None:
    story = Story(memory=LinkMemory(forced=True, by="amy", reason="cable work"))
    assert (story.link.state, story.link.forced, story.link.reason) == (AIRGAPPED, True, "cable work")
    assert story.good() is None


def test_the_breaker_holds_over_a_restart() -> None:
    story = Story(memory=LinkMemory(hold=32.0, lost_at=1.0), held_for=20.0)
    assert 20 <= story.come_back() < 21


def test_manual_runs_nothing_of_its_own_until_forced_and_comes_back_only_by_release() -> None:
    story = connected("manual")
    assert story.link.may_run_local
    story.lose()
    assert not story.link.may_run_local and not story.link.silent
    assert story.come_back(30) >= 30
    story.link.force("amy", "")
    assert story.link.may_run_local
    story.link.release(story.now, "amy")
    assert not story.link.may_run_local
    assert story.come_back() < 1


def test_manual_waits_for_a_release_over_a_restart_too() -> None:
    story = Story("manual", LinkMemory(held=True))
    assert story.good() is None
    assert Story("automatic", LinkMemory(held=True)).good() is not None


def test_airgap_safe_begins_silent_and_is_silent_after_each_loss() -> None:
    story = Story("airgap-safe")
    assert story.link.silent and story.link.may_run_local and story.come_back(30) >= 30
    story.link.release(story.now, "amy")
    assert not story.link.silent
    story.connect()
    story.lose()
    assert story.link.silent and story.link.may_run_local


def test_a_resync_that_stopped_waits_for_a_person() -> None:
    story = connected()
    story.lose()
    story.come_back()
    story.link.recovery_failed(story.now, story.link.round, "another chain", stopped=True)
    assert story.link.stopped == "another chain" and story.come_back(100) >= 100
    with pytest.raises(Conflict, match="another chain; look at it, then release"):
        story.link.hurry(story.now)
    story.link.release(story.now, "amy")
    assert story.good() == Transition(RECOVERING, "Redis answers") and not story.link.stopped


def test_who_asks_now_does_not_wait_for_the_hold() -> None:
    story = connected()
    story.lose()
    story.link.hurry(story.now)
    assert story.good() == Transition(RECOVERING, "Redis answers")


class Anything(RuleBasedStateMachine):
    """Whatever happens in whatever order, the promises hold."""

    @initialize(mode=st.sampled_from(MODES), memory=st.builds(LinkMemory, forced=st.booleans(), held=st.booleans()))
    def begin(self, mode: str, memory: LinkMemory) -> None:
        self.story = Story(mode, memory)
        self.may_send = mode != "airgap-safe" and not memory.forced
        self.was_forced = memory.forced
        self.seen = (AIRGAPPED, 0)

    def took(self, made: Transition | None) -> None:
        """A change is told if and only if there was one, and the round only grows."""
        link = self.story.link
        state, round = self.seen
        if made is None:
            assert (link.state, link.round) == self.seen
        else:
            assert (made.state, made.reason, made.forced) == (link.state, link.reason, link.forced)
            assert (made.state == RECOVERING) == (link.round == round + 1)
            assert (state, made.state) != (AIRGAPPED, CONNECTED)
        self.seen = (link.state, link.round)

    @precondition(lambda self: not self.story.link.silent)
    @rule(back=st.integers(0, 1))
    def a_probe_is_answered(self, back: int) -> None:
        self.story.beat -= back
        self.took(self.story.good())

    @precondition(lambda self: not self.story.link.silent)
    @rule()
    def a_probe_fails(self) -> None:
        self.took(self.story.bad())

    @rule()
    def an_answer_comes_late(self) -> None:
        before = self.story.link.state
        if self.story.link.silent:
            self.took(self.story.good())
            assert self.story.link.state == before == AIRGAPPED

    @rule()
    def a_call_fails(self) -> None:
        self.story.link.call_failed("reset")

    @rule(seconds=st.sampled_from([0.1, 0.5, 2.5, 10.0, 70.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.took(self.story.wait(seconds))

    @rule(late=st.integers(0, 1), good=st.booleans(), stopped=st.booleans())
    def a_resync_ends(self, late: int, good: bool, stopped: bool) -> None:
        link, now = self.story.link, self.story.now
        round = link.round - late
        self.took(link.recovered(round) if good else link.recovery_failed(now, round, "no", stopped=stopped))

    @rule()
    def somebody_forces(self) -> None:
        self.was_forced = True
        self.may_send = False
        self.took(self.story.link.force("amy", ""))

    @rule()
    def somebody_releases(self) -> None:
        self.was_forced = False
        self.may_send = True
        self.took(self.story.link.release(self.story.now, "amy"))

    @invariant()
    def it_is_in_one_state_and_keeps_its_word(self) -> None:
        if not hasattr(self, "story"):
            return
        link = self.story.link
        assert link.state in (CONNECTED, AIRGAPPED, RECOVERING)
        assert LEAST_HOLD <= link.breaker.hold <= MOST_HOLD
        assert link.forced == self.was_forced
        if link.forced or link.silent:
            assert link.state == AIRGAPPED
        if link.mode == "airgap-safe" and link.failovers == 0:
            assert link.silent == (not self.may_send)
        if link.mode == "manual" and link.state != CONNECTED:
            assert link.may_run_local == link.forced


TestAnything = Anything.TestCase
TestAnything.settings = depth(max_examples=150, stateful_step_count=40, deadline=None)
