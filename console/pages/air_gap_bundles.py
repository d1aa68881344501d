"""Bundles and homes on the air gap's page: making and taking in files, releasing them, and whom to trust."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from nicegui import ui
from nicegui.element import Element

from airgap.bundles import BundleRecord, Trusted, Wanted
from console.actions import Actor, bundles
from console.components.view import Bundles, Homes
from console.context import Console
from console.pages.air_gap_shown import bundle_of
from console.pages.dialogs import confirm
from console.pages.forms import Ask, Field, ask, chosen, number, words
from console.pages.screen import Screen, exists
from engine.kernel.errors import Conflict, ValidationError

MAKE = (
    "The jobs in it are claimed at once and run only where the bundle is taken in. Results are sent back the same way."
)
RELEASE = (
    "For a bundle that is lost. Jobs that are away with it go on here, as if they had never left; results of jobs that "
    "came with it are owed no more."
)
TRUST = (
    "Compare the fingerprint with what the other home shows. Its bundles are taken in, and bundles can be made for it."
)
DISTRUST = "Its bundles are refused from now on, also those with results of jobs that it has."
RIGHTS = {"make": "bundle.make", "take": "bundle.take", "release": "bundle.release"}
#: rows that are shown; the API has all
MOST = 50


class Shelf(msgspec.Struct, frozen=True):
    """What is shown: bundles, this home's card, trusted homes; or why there are none."""

    rows: list[dict[str, Any]] = []
    home: dict[str, str] | None = None
    trusted: list[dict[str, str]] = []
    wrong: str = ""


class Carried:
    """The part of the page about files between homes."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._shelf = Shelf()
        with Element("div").classes("grid carried") as self._place:
            self._bundles = Bundles(rows=[], may=self._rights(), wrong="")
            self._homes = Homes(home=None, trusted=[], may=screen.may("trust.manage"))
        self._bundles.on("make", self._make)
        self._bundles.on("release", lambda e: self._release(str(e.args)))
        self._bundles.on("taken", lambda e: self._taken(e.args if isinstance(e.args, dict) else {}))
        self._bundles.on("failed", lambda e: screen.toast(str(e.args)[:600], bad=True))
        self._homes.on("trust", self._trust)
        self._homes.on("distrust", lambda e: self._distrust(str(e.args)))
        screen.background(self._bundles, self.refresh())

    def _rights(self) -> dict[str, bool]:
        return {name: self._screen.may(right) for name, right in RIGHTS.items()}

    async def refresh(self) -> None:
        """Read and show what there is."""
        actor = self._screen.actor()
        shelf = await self._screen.read(lambda: read_shelf(self._screen.console, actor))
        if exists(self._bundles):
            self._shelf = shelf
            may = self._rights() if not shelf.wrong else {}
            self._bundles.show(rows=shelf.rows, wrong=shelf.wrong, may=may)
            self._homes.show(home=shelf.home, trusted=shelf.trusted)
            self._homes.set_visibility(shelf.home is not None)

    def _again(self) -> None:
        if exists(self._bundles):
            self._screen.background(self._bundles, self.refresh())

    # -- bundles

    def _make(self) -> None:
        if not self._shelf.trusted:
            self._screen.toast("Trust a home first: a bundle is sealed to those that may open it", bad=True)
            return
        queues = sorted(info.name for info in self._screen.console.engine.queues())
        asked = Ask("Make a bundle", MAKE, "Make", _wishes([one["name"] for one in self._shelf.trusted], queues))
        ask(self._screen, asked, lambda actor, given: made(self._screen.console, actor, given), self._made)

    def _made(self, record: BundleRecord) -> None:
        self._screen.toast(f"A bundle of {record.jobs:,} {record.kind} for {record.peer}")
        with self._screen.client:
            ui.download(f"/v1/airgap/bundles/{quote(record.id)}/file", f"{record.id}.hfb")
        self._again()

    def _taken(self, told: Mapping[str, Any]) -> None:
        names = {"new": "new", "known": "known already", "conflicts": "in conflict", "refused": "refused"}
        found = [f"{_count(told, name):,} {label}" for name, label in names.items() if _count(told, name)]
        self._screen.toast(f"Taken in: {', '.join(found) or 'nothing that was not here'}")
        self._again()

    async def _release(self, id: str) -> None:
        with self._place:
            sure = await confirm("Release this bundle?", RELEASE, "Release", bad=True)
        if sure:
            count = await self._screen.act(lambda actor: bundles.release_bundle(self._screen.console, actor, id))
            if count is not None:
                self._screen.toast(f"Released: {count:,} job{'' if count == 1 else 's'}")
                self._again()

    # -- homes

    def _trust(self) -> None:
        def work(actor: Actor, given: Mapping[str, Any]) -> Trusted:
            return bundles.trust(self._screen.console, actor, words(given, "card"), words(given, "name"))

        fields = [
            Field("card", "Its card", "lines", example="holdfast-node:1:…", mono=True, most=2000),
            Field("name", "Called here", hint="Left out: the name that it gives itself."),
        ]
        ask(self._screen, Ask("Trust a home", TRUST, "Trust", fields), work, self._trusted)

    def _trusted(self, trusted: Trusted) -> None:
        self._screen.toast(f"{trusted.name} is trusted; its fingerprint is {trusted.keys.fingerprint}")
        self._again()

    async def _distrust(self, name: str) -> None:
        with self._place:
            sure = await confirm(f"Trust {name} no more?", DISTRUST, "Trust no more", bad=True)
        if sure:
            done = await self._screen.act(lambda actor: (bundles.distrust(self._screen.console, actor, name), True)[1])
            if done:
                self._screen.toast(f"{name} is trusted no more")
                self._again()


def read_shelf(console: Console, actor: Actor) -> Shelf:
    """What there is; reads the store."""
    try:
        card = bundles.identity(console, actor)
        views = bundles.list_bundles(console, actor)
        trusted = bundles.list_trusted(console, actor)
    except Conflict as error:
        return Shelf(wrong=str(error))
    return Shelf(
        [bundle_of(view) for view in views[:MOST]],
        {"name": card.name, "card": card.line(), "fingerprint": card.fingerprint},
        [{"name": one.name, "fingerprint": one.keys.fingerprint} for one in trusted],
    )


def made(console: Console, actor: Actor, given: Mapping[str, Any]) -> BundleRecord:
    """The bundle that was asked for.  Raises ``ValidationError`` and what the action raises."""
    homes = chosen(given, "to")
    if not homes:
        raise ValidationError("Choose for whom it is", "to")
    if words(given, "kind") == "jobs":
        wanted = Wanted(queues=tuple(chosen(given, "queues")), limit=number(given, "limit"))
        return bundles.make_jobs(console, actor, homes, wanted)
    if len(homes) > 1:
        raise ValidationError("Results are for one home; choose the one that they are owed to", "to")
    return bundles.make_results(console, actor, homes[0], number(given, "limit"))


def _wishes(homes: Sequence[str], queues: Sequence[str]) -> list[Field]:
    kinds = (("jobs", "Jobs, to be run there"), ("results", "Results that we owe them"))
    first = list(homes) if len(homes) == 1 else []
    return [
        Field("kind", "What is in it", "choice", "jobs", options=kinds),
        Field("to", "For", "many", first, options=[(name, name) for name in homes]),
        Field("queues", "Queues", "many", [], options=[(name, name) for name in queues], hint="None picked: all."),
        Field("limit", "Jobs at the most", "number", example="all"),
    ]


def _count(told: Mapping[str, Any], name: str) -> int:
    found = told.get(name)
    return found if isinstance(found, int) else 0
