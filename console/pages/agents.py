"""The agents of the fleet: who is there, how they are, what they run, and telling them what to do.

The filter and the agent that is looked at stand in the address.  Everything shown comes with the feed's snapshots.
"""

from __future__ import annotations

from typing import Any

from nicegui.element import Element

from airgap.view import AirView
from console.components.view import AgentDrawer, Agents, Figures
from console.design import icon, text
from console.feed import Snapshot
from console.pages.agents_acts import COMMANDS, Acts
from console.pages.agents_rows import Filter, capabilities_of, drawer_of, figures_of, filter_of, list_props
from console.pages.screen import Screen, exists
from console.pages.shell import button, empty, ghosts, heading
from engine.fleet.base import AgentView

RIGHTS = (*COMMANDS, "notify", "scale", "stop", "forget", "ping")
JOIN = (
    "An agent is a process that takes jobs from the queues of this fleet. Start one on any machine that reaches Redis."
)
CUT = (
    "This node is cut off from Redis: the others are shown as they were last heard of, and cannot be told anything now."
)
ALONE = "This process works alone. Give it and its agents the same Redis, and they share their jobs."


async def page(screen: Screen) -> None:
    """All agents that the address asks for."""
    with heading("Agents", find=False):
        acts = Element("div").classes("acts")
    with Element("div").classes("page") as place:
        waiting = ghosts()
    snapshot = await screen.read(screen.console.feed.latest)
    if exists(place):
        waiting.delete()
        with place:
            _Page(screen, snapshot, acts)


class _Page:
    def __init__(self, screen: Screen, snapshot: Snapshot, head: Element) -> None:
        self._screen = screen
        self._agents = snapshot.agents
        self._filter = filter_of(screen.query)
        self._acts = Acts(screen)
        with head:
            button("Message to all…", "send", enabled=screen.may("agent.broadcast")).on("click", self._broadcast)
        with Element("div").classes("notice warn").props("role=status") as self._cut:
            icon("airgapped")
            text(CUT, "p")
        self._figures = Figures(figures=figures_of(snapshot.agents))
        self._list = Agents(**self._props())
        with self._list, empty("No such agent", "No agent is as the filter says.", "search"):
            text("All agents", "a", "btn").props("href=/agents")
        self._join = Element("section").classes("card join").props('aria-label="Add agents"')
        self._side = Element("div")
        self._drawer: AgentDrawer | None = None
        self._in_drawer = ""
        self._list.on("filter", lambda e: self._ask(e.args if isinstance(e.args, dict) else {}))
        with self._join:
            teach(snapshot.air)
        self._show_drawer()
        self._cut.set_visibility(snapshot.air.state == "airgapped")
        screen.follow(self._list, self._told)
        screen.on_query(self._list, self._came)

    def _props(self) -> dict[str, Any]:
        return list_props(self._agents, self._filter, self._screen.console.engine.agent)

    def _told(self, snapshot: Snapshot) -> None:
        self._agents = snapshot.agents
        self._cut.set_visibility(snapshot.air.state == "airgapped")
        self._figures.show(figures=figures_of(snapshot.agents))
        self._show()

    def _show(self) -> None:
        self._list.show(**self._props())
        self._show_drawer()

    # -- what is asked

    def _ask(self, changed: dict[str, Any]) -> None:
        """Another chip or capability was picked."""
        query = self._filter.query | {str(name): str(value) for name, value in changed.items()}
        self._go(filter_of(query))

    def _go(self, filter: Filter) -> None:
        self._filter = filter
        self._screen.go_query("/agents", filter.query)
        self._show()

    def _came(self, query: dict[str, str]) -> None:
        """The address changed by a link, or by going back."""
        self._filter = filter_of(query)
        self._show()

    def _close(self) -> None:
        self._go(Filter(self._filter.presence, self._filter.capability))

    # -- one agent

    def _show_drawer(self) -> None:
        agent = self._looked_at()
        if agent is None:
            self._drop_drawer()
        elif self._drawer is None or self._in_drawer != agent.id:
            self._drop_drawer()
            self._open_drawer(agent)
        else:
            self._drawer.show(agent=drawer_of(agent))

    def _open_drawer(self, agent: AgentView) -> None:
        may = {name: self._screen.may(f"agent.{name}") for name in RIGHTS}
        self._in_drawer = agent.id
        may["take_back"] = self._screen.may("airgap.take_back")
        with self._side:
            self._drawer = AgentDrawer(agent=drawer_of(agent), may=may)
        self._drawer.on("close", self._close)
        self._drawer.on("act", lambda e: self._act(str(e.args)))

    def _drop_drawer(self) -> None:
        self._drawer = None
        self._side.clear()

    def _looked_at(self) -> AgentView | None:
        return next((agent for agent in self._agents if agent.id == self._filter.agent), None)

    async def _act(self, name: str) -> None:
        agent = self._looked_at()
        if agent is not None and await self._acts.do(name, agent, self._side):
            self._close()

    def _broadcast(self) -> None:
        self._acts.broadcast(sorted(capabilities_of(self._agents)))


def teach(air: AirView) -> None:
    """How to add agents."""
    alone = air.state == "standalone"
    address = air.address or "redis://host:6379/0"
    lines = [f"python3 run.py --redis {address}"] if alone else []
    lines.append(f"python3 run.py agent --redis {address} --concurrency 8")
    with Element("div"):
        text("Add agents", "h2")
        text(ALONE if alone else JOIN, "p")
        text("Routing: --queues, --capabilities and --tenants say which jobs it takes.", "p", "muted")
    text("\n".join(lines), "pre").props("tabindex=0")
