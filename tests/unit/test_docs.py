"""Documents are true: what they link to and name is there, and the snippets of docs/writing-tasks.md do what they say.

Those are a module of tasks and programs that use it; each is run as a reader would.  What docs/api.md and
docs/operating.md tell to type is typed in ``tests/integration/launcher/test_guides.py``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engine.kernel.settings import options
from engine.kernel.sources import OTHERS

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "writing-tasks.md").read_text("utf-8")
_SNIPPET = re.compile(r"```python\n# (?P<path>[\w/]+\.py)\n(?P<text>.*?)```", re.DOTALL)
SNIPPETS = [(found["path"], found["text"]) for found in _SNIPPET.finditer(GUIDE)]
TASKS = "shop/tasks.py"
PROGRAMS = [path for path, _ in SNIPPETS if path != TASKS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guide's files; snippets of the same name are one file."""
    folder = tmp_path_factory.mktemp("guide")
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").touch()
    for path, text in SNIPPETS:
        with (folder / path).open("a") as file:
            file.write(text + "\n\n")
    return folder


def test_every_snippet_is_one_that_is_run() -> None:
    assert GUIDE.count("```python\n") == len(SNIPPETS)
    assert len(PROGRAMS) == len(set(PROGRAMS)) >= 8


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_programs_of_the_guide_do_what_it_says(folder: Path, program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", program],
        cwd=folder,
        env={"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "PATH": os.defpath, "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_commands_of_the_guide_are_known_to_the_launcher() -> None:
    known = "".join(file.read_text("utf-8") for file in [ROOT / "run.py", *(ROOT / "console" / "cli").glob("*.py")])
    known += "".join(f"--{name}" for name in ("tasks", "home", "port"))
    for block in re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL):
        for flag in re.findall(r"--[a-z-]+", block):
            assert flag in known, flag


def test_links_lead_to_pages_and_headings_that_exist() -> None:
    headings = {
        re.sub(r"[^a-z -]", "", line[3:].lower()).replace(" ", "-") for line in GUIDE.splitlines() if line[:3] == "## "
    }
    for target in re.findall(r"\]\(([^)]+)\)", GUIDE):
        page, _, heading = target.partition("#")
        assert (ROOT / "docs" / page).exists()
        assert not heading or heading in headings


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def text_of(page: Path) -> str:
    """A page without its snippets and drawings."""
    return re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """What a link into the page may name, as the usual readers of Markdown make it from headings."""
    found = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_link_is_dead(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            place = (page.parent / path).resolve() if path else page
            assert place.exists(), target
            assert not anchor or anchor in anchors_of(place), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_file_and_setting_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    for path in re.findall(r"`((?:engine|console|data|airgap|plugins|tests)/[\w/.]*)`", text):
        assert (ROOT / path).exists(), path
    names = {option.name for option in options()}
    for variable in re.findall(r"HOLDFAST_([A-Z_]+)\b(?!<)", text):
        assert variable.lower() in names or variable in OTHERS or variable.startswith(("SECRET_", "HOME")), variable


def test_every_guide_is_reached_from_the_readme() -> None:
    named = (ROOT / "README.md").read_text("utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert f"docs/{page.name}" in named, page.name
