"""Tasks that look like a small company's, for browser tests and pictures: they wait, progress, fail and recover on purpose.

Load them with ``--tasks tests.support.showroom``.  ``tests.support.showroom_past`` fills a home with hours of their history.
"""

from __future__ import annotations

import threading
from pathlib import Path

from engine import Context, Retry, task
from engine.kernel.errors import Cancel

#: no retry of these takes long
SOON = Retry(initial=0.05, maximum=0.2, jitter=False)


class PageUnreadable(ValueError):
    """A page of a document holds no text."""


@task(name="reports.build", queue="reports", max_attempts=2, backoff=SOON)
def build_report(ctx: Context, source: str) -> dict[str, int]:
    """Build a report from a file; without the file there is none."""
    ctx.log.info("looking for %s", source)
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"there is no {path.name} yet")
    return {"characters": len(path.read_text("utf-8"))}


@task(name="scans.read", queue="documents", max_attempts=1)
def read_scan(ctx: Context, page: int, text: str = "") -> str:
    """Read one page of a scan; a page without text cannot be read."""
    if not text:
        raise PageUnreadable(f"page {page} has no text layer")
    return text


@task(name="video.convert", queue="video", max_attempts=1)
def convert_video(ctx: Context, steps: int = 10, pause: float = 0.2) -> int:
    """Go through ``steps`` steps, telling how far it is, until someone asks it to stop."""
    for step in range(steps):
        if ctx.cancelled:
            raise Cancel("stopped at a wish")
        ctx.progress(step / steps, f"frame {step} of {steps}")
        ctx.log.info("frame %d", step)
        _wait(pause)
    return steps


@task(name="mail.send", queue="emails", max_attempts=4)
def send_mail(ctx: Context, to: str, template: str) -> str:
    """Send a mail."""
    _wait(0.35)
    return "250 ok"


@task(name="thumbnails.make", queue="default", max_attempts=4)
def make_thumbnails(ctx: Context, photo: str, sizes: list[int]) -> int:
    """Make small pictures of a photo."""
    _in_steps(ctx, len(sizes), 0.6, "size")
    return len(sizes)


@task(name="invoices.render", queue="reports", max_attempts=4)
def render_invoice(ctx: Context, invoice: int, lang: str = "en") -> dict[str, int]:
    """Render an invoice as a PDF, page by page."""
    _in_steps(ctx, 12, 0.9, "page")
    return {"pages": 12}


@task(name="ledger.sync", queue="integrations", max_attempts=4)
def sync_ledger(ctx: Context, since: str) -> int:
    """Fetch what is new in the ledger, page by page."""
    _in_steps(ctx, 40, 0.5, "page")
    return 40


def _in_steps(ctx: Context, steps: int, pause: float, word: str) -> None:
    for step in range(1, steps + 1):
        ctx.check_cancelled()
        ctx.progress((step - 1) / steps, f"{word} {step} of {steps}")
        _wait(pause)


@task(name="echo.say", queue="default", max_attempts=1)
def say(ctx: Context, text: str, fail: bool = False) -> str:
    """Give back what it was given, in log, progress, output and result, or in an error."""
    ctx.log.warning(text)
    ctx.progress(0.5, text)
    ctx.output(text[:40] or "nothing", {"said": text})
    if fail:
        raise RuntimeError(text)
    return text


def _wait(seconds: float) -> None:
    threading.Event().wait(seconds)
