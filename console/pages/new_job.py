"""The dialogs that make a job: a new one, or one like another with edits."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from nicegui import ui
from nicegui.element import Element

from console import actions
from console.auth import SignedOut
from console.components.view import JobForm
from console.pages.screen import Screen, exists
from console.pages.shell import button
from console.reading import Job
from engine import Handle, JobRequest
from engine.kernel.errors import HoldfastError, ValidationError

#: fields of the form where an error is shown in place
FIELDS = ("task", "args", "queue", "priority", "delay")


def new_job_button(screen: Screen) -> None:
    """The button of a page's head."""
    made = button("New job", "plus", "pri", enabled=screen.may("job.enqueue"))
    made.on("click", lambda: new_job(screen))


def new_job(screen: Screen) -> None:
    """Ask for a task and its arguments."""
    tasks = [
        {
            "name": spec.name,
            "queue": spec.queue,
            "doc": _first_paragraph(spec.doc),
            "args": template(spec.func, spec.validator.names),
        }
        for spec in (task.spec for task in screen.console.engine.registry)
    ]

    def send(actor: actions.Actor, form: Mapping[str, Any]) -> Handle:
        request = JobRequest(
            task=str(form["task"]), args=_args(form), queue=form["queue"] or None, priority=form["priority"] or None
        )
        return actions.enqueue(screen.console, actor, msgspec.structs.replace(request, delay=form["delay"] or None))

    _open(
        screen,
        "New job",
        "Enqueue",
        send,
        tasks=sorted(tasks, key=lambda task: str(task["name"])),
        start={},
        fixed=False,
    )


def run_again(screen: Screen, job: Job) -> None:
    """Ask for edits to a job that has been, and run it again as a new one."""

    def send(actor: actions.Actor, form: Mapping[str, Any]) -> Handle:
        edits = {"args": _args(form), "queue": form["queue"], "priority": form["priority"], "delay": form["delay"]}
        return actions.run_again(
            screen.console, actor, job.id, {name: value for name, value in edits.items() if value or name == "args"}
        )

    named = job.priority if isinstance(job.priority, str) else ""
    start = {
        "task": job.task,
        "args": json.dumps(job.args, indent=2, ensure_ascii=False),
        "queue": job.queue,
        "priority": named,
    }
    _open(screen, "Run again with edits", "Run as a new job", send, tasks=[], start=start, fixed=True)


def _open(
    screen: Screen, title: str, yes: str, send: Callable[[actions.Actor, Mapping[str, Any]], Handle], **props: Any
) -> None:
    with ui.dialog().props(f'aria-label="{title}"') as dialog, Element("div").classes("sheet"):
        form = JobForm(title=title, button=yes, busy=False, wrong={}, **props)

    async def sent(event: Any) -> None:
        form.show(busy=True)
        handle, wrong = await _tried(screen, lambda actor: send(actor, event.args))
        if not exists(form):
            return
        form.show(busy=False, wrong=wrong)
        if handle is not None:
            dialog.close()
            ui.navigate.to(f"/jobs/{handle.id}")

    form.on("send", sent)
    form.on("close", dialog.close)
    dialog.on("hide", dialog.delete)
    dialog.open()


async def _tried(screen: Screen, work: Callable[[actions.Actor], Handle]) -> tuple[Handle | None, dict[str, str]]:
    """The job, or what is wrong by field."""
    try:
        actor = screen.actor()
        return await screen.read(lambda: work(actor)), {}
    except SignedOut:
        screen.leave()
        return None, {}
    except ValidationError as error:
        field = error.field.split(".")[0].split("[")[0]
        return None, {field if field in FIELDS else "other": str(error)}
    except HoldfastError as error:
        return None, {"other": str(error)}


def _args(form: Mapping[str, Any]) -> dict[str, Any]:
    args = form["args"]
    if not isinstance(args, dict):
        raise ValidationError("args: expected an object of arguments by name", "args")
    return args


def _first_paragraph(doc: str) -> str:
    return inspect.cleandoc(doc or "").split("\n\n")[0][:300]


def template(func: Callable[..., Any], names: tuple[str, ...]) -> str:
    """JSON to begin with: the arguments that a task cannot do without."""
    parameters = inspect.signature(func).parameters
    needed = {
        name: _blank(parameters[name].annotation)
        for name in names
        if parameters[name].default is inspect.Parameter.empty
    }
    return json.dumps(needed, indent=2)


def _blank(annotation: Any) -> Any:
    """An empty value of the annotated kind, by its name, since annotations may be text."""
    name = getattr(annotation, "__name__", str(annotation)).split("[")[0].strip("'\"").split(".")[-1]
    return {"int": 0, "float": 0, "bool": False, "list": [], "List": [], "Sequence": [], "dict": {}, "Mapping": {}}.get(
        name, ""
    )
