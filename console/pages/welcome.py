"""What stands on the overview before the first job: one button that shows a job at work, then how to go on."""

from __future__ import annotations

from nicegui import ui
from nicegui.element import Element

from console import actions
from console.design import icon, text
from console.pages.screen import Screen
from console.pages.shell import button, heading

SAMPLE = (
    "The sample job reads a small PDF that ships with Holdfast, on this machine and without a network. "
    "Watch it go from waiting to completed."
)
COMMAND = 'python3 run.py enqueue documents.extract \\\n  --args \'{"path": "sample.pdf"}\' --wait'
CODE = """from engine import task

@task(queue="emails")
def greet(name: str) -> str:
    return f"Hello, {name}"
"""


def show(screen: Screen) -> None:
    """The page of the first minute."""
    with heading("Welcome", find=False):
        pass
    with Element("div").classes("page"):
        with Element("section").classes("card hero"):
            with Element("div").classes("say"):
                text("The engine is running. Send it a job.", "h2")
                text(SAMPLE, "p")
            _sample_button(screen)
        with Element("div").classes("steps"):
            _started(screen)
            _step("2", "Send a job", "From the button above, your program, or the command line.", COMMAND)
            _step("3", "Write your own", "Save it as greetings.py and start with --tasks greetings.", CODE)


def _sample_button(screen: Screen) -> None:
    ready = screen.console.facts.sample is not None
    made = button("Run the sample job", "play", "pri", enabled=ready and screen.may("job.enqueue"))

    async def run() -> None:
        made.props("aria-busy=true")
        handle = await screen.act(lambda actor: actions.run_sample(screen.console, actor))
        made.props(remove="aria-busy")
        if handle is not None:
            ui.navigate.to(f"/jobs/{handle.id}")

    made.on("click", run)


def _started(screen: Screen) -> None:
    with Element("section").classes("card step done"):
        with Element("h2"):
            with Element("i"):
                icon("check")
            text("Engine started")
        text("One process, an encrypted store on this disk. No server to set up.", "p")
        text(str(screen.console.settings.home), "pre", "cut")


def _step(number: str, title: str, says: str, code: str) -> None:
    with Element("section").classes("card step"):
        with Element("h2"):
            text(number, "i")
            text(title)
        text(says, "p")
        text(code.rstrip(), "pre").props("tabindex=0")
