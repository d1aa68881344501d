"""One browser window that looks at the console: who sits there, whether it looks, and how pages read, act and follow.

Everything slow runs in a thread, so that one window's question never holds up another's.  A subscription ends with the
element it feeds; a window that is hidden or gone costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit

from nicegui import background_tasks, ui
from nicegui.element import Element

from console.actions import Actor
from console.auth import SignedOut
from console.components.view import View
from console.context import Console
from console.feed import Snapshot
from engine.kernel.errors import HoldfastError

T = TypeVar("T")
log = logging.getLogger("holdfast.console")


class Screen:
    """A window of the console.  Belongs to the event loop."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.client = ui.context.client
        self.paused = False
        self.visible = True
        self._on_query: Callable[[dict[str, str]], None] | None = None
        self.client.sub_pages_router.on_path_changed(self._moved)

    def actor(self) -> Actor:
        """Who is signed in.  Raises ``SignedOut``."""
        return self.console.access.actor(self.client.request)

    def may(self, action: str) -> bool:
        """Whether to offer an action."""
        try:
            return self.actor().may(action)
        except SignedOut:
            return False

    # -- reading and acting

    async def read(self, work: Callable[[], T]) -> T:
        """Run a reading function in a thread, for somebody who is signed in."""
        self.actor()
        return await asyncio.to_thread(work)

    async def act(self, work: Callable[[Actor], T]) -> T | None:
        """Run an action in a thread; what is wrong with it is told in a toast, and ``None`` returned."""
        try:
            actor = self.actor()
            return await asyncio.to_thread(work, actor)
        except SignedOut:
            self.leave()
        except HoldfastError as error:
            self.toast(str(error), bad=True)
        except Exception:
            log.exception("an action failed")
            self.toast("That did not work; the log of the console says why", bad=True)
        return None

    def leave(self) -> None:
        """Nobody is signed in any more: ask the server again, which asks for a token."""
        if not self.client.is_deleted:
            self.client.run_javascript("location.reload()")

    def toast(self, message: str, *, bad: bool = False) -> None:
        """Say something briefly in a corner."""
        if self.client.is_deleted:
            return
        with self.client:
            ui.notify(
                message, position="bottom-right", classes="toast bad" if bad else "toast", timeout=6000 if bad else 3500
            )

    # -- following

    def follow(self, view: View, tell: Callable[[Snapshot], None]) -> None:
        """Tell each new snapshot, while ``view`` exists and somebody looks."""

        def told(snapshot: Snapshot) -> None:
            if self.visible and not self.paused and self.client.has_socket_connection:
                tell(snapshot)

        view.until_deleted(self.console.feed.subscribe(told))

    def background(self, view: View, work: Coroutine[Any, Any, None]) -> None:
        """Do something for ``view`` besides; if it cannot be done, the page keeps what it shows."""

        async def tried() -> None:
            try:
                await work
            except SignedOut:
                self.leave()
            except Exception:
                log.exception("a page could not be refreshed")

        background_tasks.create(tried(), context=view)

    # -- the address

    @property
    def query(self) -> dict[str, str]:
        """The query of the address."""
        return _query(self.client.sub_pages_router.current_path)

    def on_query(self, view: View, changed: Callable[[dict[str, str]], None]) -> None:
        """Call ``changed`` when the query of this page's address changes by link, back or forward."""
        self._on_query = changed
        view.until_deleted(lambda: self._forget(changed))

    def go_query(self, path: str, query: dict[str, str], *, replace: bool = False) -> None:
        """Write the query into the address without building the page anew."""
        filled = {name: value for name, value in query.items() if value}
        address = f"{path}?{urlencode(filled)}" if filled else path
        if address == self.client.sub_pages_router.current_path:
            return
        self.client.sub_pages_router.current_path = address
        with self.client:
            (ui.navigate.history.replace if replace else ui.navigate.history.push)(address)

    def _moved(self, path: str) -> None:
        if self._on_query is not None:
            self._on_query(_query(path))

    def _forget(self, changed: Callable[[dict[str, str]], None]) -> None:
        if self._on_query is changed:
            self._on_query = None


def _query(path: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(urlsplit(path).query).items()}


def exists(element: Element) -> bool:
    """Whether an element is still on its page: after an ``await`` the person may be elsewhere."""
    return not element.is_deleted and not element.client.is_deleted
