"""What all components share: props that are sent only when they change, and subscriptions that end with the element."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nicegui.elements.plotly
from nicegui.element import Element

#: NiceGUI serves Plotly from its own package under this import; naming the module registers it
PLOTLY = nicegui.elements.plotly


class View(Element, esm={"holdfast": str(Path(__file__).parent / "lib")}):
    """An element that shows values given to it."""

    def __init__(self, **props: Any) -> None:
        super().__init__()
        self._ends: list[Callable[[], None]] = []
        self._props.update(props)

    def show(self, **props: Any) -> None:
        """Change props; nothing is sent for those that stay the same."""
        changed = {name: value for name, value in props.items() if self._props.get(name) != value}
        if changed:
            self._props.update(changed)
            self.update()

    def until_deleted(self, end: Callable[[], None]) -> None:
        """Call ``end`` when this element goes away."""
        self._ends.append(end)

    def _handle_delete(self) -> None:
        for end in self._ends:
            end()
        super()._handle_delete()


class Figures(View, component="figures.js"):
    """A row of key figures: label, value, comparison, sparkline or share."""


class Attention(View, component="attention.js"):
    """What needs a person; emits ``act`` for a matter that offers something."""


class Queues(View, component="queues.js"):
    """Queues with pause and resume; emits ``flip``."""


class Activity(View, component="activity.js"):
    """The latest jobs."""


class Throughput(View, component="throughput.js"):
    """Jobs finished per minute; ``push`` appends bars."""

    def push(self, bars: dict[str, list[float]]) -> None:
        self.run_method("push", bars)


class JobsTable(View, component="jobs_table.js"):
    """A page of jobs; emits ``pick`` and ``turn``.  What it holds is shown when there are no rows."""


class JobDetail(View, component="job_detail.js"):
    """One job."""


class DeadLetters(View, component="dead_letters.js"):
    """Dead jobs by cause; emits ``revive`` and ``remove``."""


class JobForm(View, component="job_form.js"):
    """The fields of a new job; emits ``send`` and ``close``."""


class Find(View, component="find.js"):
    """The search box in the head of a page."""


class FilterBox(View, component="filter_box.js"):
    """The filter of the jobs table; emits ``ask``."""


class AirState(View, component="air_state.js"):
    """State of the link to Redis in the status strip, with the way to its page."""


class LinkState(View, component="link_state.js"):
    """Live dot, clock, keyboard and connection; emits ``seen`` and ``help``."""


class ThemeButton(View, component="theme_button.js"):
    """Light, dark, or as the system says."""


class AskForm(View, component="ask_form.js"):
    """A few fields to fill in; emits ``send`` and ``close``."""


class Agents(View, component="agents.js"):
    """The agents of the fleet; emits ``filter``, ``open``.  What it holds is shown when there are no rows."""


class AgentDrawer(View, component="agent_drawer.js"):
    """One agent and what can be done with it; emits ``act`` and ``close``."""


class AirLink(View, component="air_link.js"):
    """State of the link at a glance: this node, Redis, the others, and what is between them."""


class LinkHistory(View, component="link_history.js"):
    """States that the link came into, newest first."""


class Proof(View, component="proof.js"):
    """What both sides counted at the end of a resync, lane by lane."""


class Conflicts(View, component="conflicts.js"):
    """Conflicts, what stands beside what came later; emits ``decide`` and ``more``."""


class Bundles(View, component="bundles.js"):
    """Files carried between homes; emits ``make``, ``taken``, ``release``, ``failed``."""


class Homes(View, component="homes.js"):
    """This home's card and those that it trusts; emits ``trust`` and ``distrust``."""
