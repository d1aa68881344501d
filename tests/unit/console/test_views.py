"""Components: what is sent, and what ends with them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from nicegui import Client, core
from nicegui.page import page

from console.components.view import Activity, View
from console.context import Console, Facts
from console.feed import Feed
from console.pages.screen import Screen


@pytest.fixture
def in_window(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Client], None]], None]:
    """Runs something in a window of NiceGUI that no browser has opened yet."""

    def run(work: Callable[[Client], None]) -> None:
        async def inside() -> None:
            monkeypatch.setattr(core, "loop", asyncio.get_running_loop())
            client = Client(page("/"), request=None)
            with client:
                work(client)
            client.delete()

        asyncio.run(inside())

    return run


InWindow = Callable[[Callable[[Client], None]], None]


def test_a_view_is_sent_only_when_a_prop_changed(in_window: InWindow) -> None:
    def work(client: Client) -> None:
        view = Activity(jobs=[])
        client.outbox.updates.clear()
        view.show(jobs=[])
        assert view.id not in client.outbox.updates
        view.show(jobs=[{"id": "1"}])
        assert view.id in client.outbox.updates

    in_window(work)


def test_a_subscription_ends_with_the_element_that_it_feeds(in_window: InWindow) -> None:
    feed = Feed(None, None, Facts())  # type: ignore[arg-type]
    console = Console(None, None, None, Facts(), None, None, feed, None)  # type: ignore[arg-type]

    def work(client: Client) -> None:
        screen = Screen(console)
        for _ in range(10):
            view = View()
            screen.follow(view, lambda snapshot: None)
            assert feed.watchers == 1
            view.delete()
            assert feed.watchers == 0

    in_window(work)


def test_the_query_is_told_to_the_page_that_shows_and_to_no_page_that_is_gone(in_window: InWindow) -> None:
    console = Console(None, None, None, Facts(), None, None, None, None)  # type: ignore[arg-type]

    def work(client: Client) -> None:
        screen, heard = Screen(console), []
        view = View()
        screen.on_query(view, heard.append)
        screen._moved("/jobs?state=dead&q=a+b")
        assert heard == [{"state": "dead", "q": "a b"}]
        view.delete()
        screen._moved("/jobs?state=running")
        assert len(heard) == 1

    in_window(work)
