"""The air gap: how the link to Redis stands, cutting it and letting it back, what resyncs proved, and what is to decide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui.element import Element

from airgap.view import AirView
from console import actions
from console.components.view import AirLink, Conflicts, Figures, LinkHistory, Proof
from console.design import text
from console.feed import Snapshot
from console.pages.air_gap_bundles import Carried
from console.pages.air_gap_past import Past, keep_all, read_past
from console.pages.air_gap_shown import figures_of, link_props
from console.pages.dialogs import confirm
from console.pages.forms import Ask, Field, ask, words
from console.pages.screen import Screen, exists
from console.pages.shell import button, ghosts, heading

#: snapshots between two readings of the past, and between two of the bundles
PAST_EVERY, BUNDLES_EVERY = 2, 5
CUT = (
    "Nothing is sent to Redis any more, also after a restart, until you release the link. Jobs go on from this node's "
    "own store; what happens is given to Redis afterwards."
)
KEEP = "What stands stays; the later result is kept in history only."
KEEP_ALL = "What stands stays in each of them; the later results are kept in history only."
TAKE = "The later result takes the place of the one that stands. Who has read the old one is not told."
TEACH = "Give this node a Redis and it shares its jobs with others. When Redis is gone, it goes on from its own store."
COMMANDS = "python3 run.py --redis redis://host:6379/0\npython3 run.py agent --redis redis://host:6379/0"


async def page(screen: Screen) -> None:
    """The link as it is, and its past."""
    with heading("Air gap", find=False):
        acts = Element("div").classes("acts")
    with Element("div").classes("page") as place:
        waiting = ghosts()
    snapshot = await screen.read(screen.console.feed.latest)
    past = await screen.read(lambda: read_past(screen.console))
    if exists(place):
        waiting.delete()
        with place:
            _Page(screen, snapshot, past, acts)


class _Page:
    def __init__(self, screen: Screen, snapshot: Snapshot, past: Past, acts: Element) -> None:
        self._screen = screen
        self._past = past
        self._acts = acts
        self._offered: tuple[bool, bool] | None = None
        self._ticks = 0
        self._reading = False
        linked = snapshot.air.state != "standalone"
        self._link = AirLink(**self._map(snapshot))
        if not linked:
            _teach()
        self._figures = Figures(figures=figures_of(snapshot)).style("margin-top:14px")
        with Element("div").classes("grid proofs") as self._proofs:
            self._proof = Proof(**past.proof_props(snapshot.air))
            self._history = LinkHistory(**past.history_props())
        self._conflicts = Conflicts(**past.conflict_props(), may=screen.may("airgap.resolve"), open=snapshot.conflicts)
        self._carried = Carried(screen)
        for part in (self._figures, self._proofs):
            part.set_visibility(linked)
        self._show_conflicts(snapshot)
        self._offer(snapshot.air)
        self._conflicts.on("decide", lambda e: self._decide(e.args if isinstance(e.args, dict) else {}))
        self._conflicts.on("keepall", self._keep_all)
        self._conflicts.on("turn", lambda: self._more(self._past.turn))
        self._conflicts.on("more", lambda: self._more(self._past.more_conflicts))
        self._history.on("more", lambda: self._more(self._past.more_changes))
        screen.follow(self._link, self._told)

    def _map(self, snapshot: Snapshot) -> dict[str, Any]:
        engine = self._screen.console.engine
        return link_props(snapshot.air, self._screen.console.settings.agent_name or "", snapshot.agents, engine.agent)

    def _told(self, snapshot: Snapshot) -> None:
        self._link.show(**self._map(snapshot))
        self._figures.show(figures=figures_of(snapshot))
        self._show_conflicts(snapshot)
        self._proof.show(**self._past.proof_props(snapshot.air))
        self._offer(snapshot.air)
        self._ticks += 1
        if self._ticks % PAST_EVERY == 0 and not self._reading:
            self._screen.background(self._link, self._refresh())
        if self._ticks % BUNDLES_EVERY == 0:
            self._screen.background(self._link, self._carried.refresh())

    def _show_conflicts(self, snapshot: Snapshot) -> None:
        """Who is alone finds conflicts only by bundles: the list is shown once there are some."""
        self._conflicts.show(open=snapshot.conflicts)
        some = bool(snapshot.conflicts or self._past.found)
        self._conflicts.set_visibility(some or snapshot.air.state != "standalone")

    # -- the past

    async def _refresh(self) -> None:
        self._reading = True
        try:
            past = await self._screen.read(lambda: read_past(self._screen.console, self._past))
        finally:
            self._reading = False
        if exists(self._link) and past.asked == self._past.asked:
            self._past = past
            self._show_past()

    def _show_past(self) -> None:
        self._history.show(**self._past.history_props())
        self._conflicts.show(**self._past.conflict_props())

    async def _more(self, ask_for: Callable[[], Past]) -> None:
        """Read more, or other, rows of the past."""
        self._past = ask_for()
        await self._refresh()

    # -- acting

    def _offer(self, air: AirView) -> None:
        """The buttons that fit the link's state."""
        held = air.forced or bool(air.stopped) or (air.state == "airgapped" and air.mode != "automatic")
        if self._offered == (held, air.state == "standalone"):
            return
        self._offered = (held, air.state == "standalone")
        self._acts.clear()
        if air.state == "standalone":
            return
        may = self._screen.may
        with self._acts:
            if not air.forced:
                button("Cut the link…", "airgapped", "bad", enabled=may("airgap.force")).on("click", self._force)
            if held:
                button("Release", "connected", "pri", enabled=may("airgap.release")).on("click", self._release)
            else:
                button("Sync now", "recovering", enabled=may("airgap.sync")).on("click", self._sync)

    def _force(self) -> None:
        def work(actor: actions.Actor, given: Any) -> AirView:
            return actions.force(self._screen.console, actor, words(given, "reason"))

        reason = Field("reason", "Why", example="works on the network until 18:00", hint="Is kept in the history.")
        asked = Ask("Cut the link to Redis?", CUT, "Cut the link", [reason], bad=True)
        ask(self._screen, asked, work, lambda _: self._screen.toast("The link is cut until you release it"))

    async def _release(self) -> None:
        done = await self._screen.act(lambda actor: actions.release(self._screen.console, actor))
        if done is not None:
            self._screen.toast("Released: the link comes back as soon as Redis answers")

    async def _sync(self) -> None:
        done = await self._screen.act(lambda actor: actions.sync(self._screen.console, actor))
        if done is not None:
            self._screen.toast("Looking for Redis now")

    async def _decide(self, asked: dict[str, Any]) -> None:
        id, choice = str(asked.get("id")), str(asked.get("choice"))
        taking = choice == "take"
        with self._link:
            title = "Take the later result?" if taking else "Keep what stands?"
            sure = await confirm(
                title, TAKE if taking else KEEP, "Take the later one" if taking else "Keep", bad=taking
            )
        if not sure:
            return
        done = await self._screen.act(lambda actor: (actions.resolve(self._screen.console, actor, id, choice), True)[1])
        if done:
            self._screen.toast("Decided; history knows it in a moment")
            await self._refresh()

    async def _keep_all(self) -> None:
        with self._link:
            sure = await confirm("Keep what stands in all conflicts?", KEEP_ALL, "Keep all")
        count = await self._screen.act(lambda actor: keep_all(self._screen.console, actor)) if sure else None
        if count is not None:
            self._screen.toast(f"{count:,} decided; history knows it in a moment")
            await self._refresh()


def _teach() -> None:
    with Element("section").classes("card join").props('aria-label="Connect"'):
        with Element("div"):
            text("Connect to a fleet", "h2")
            text(TEACH, "p")
        text(COMMANDS, "pre").props("tabindex=0")
