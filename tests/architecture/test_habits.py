"""Habits of the house that no ready-made tool checks."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("engine", "airgap", "plugins", "data", "console")
MODULES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
#: import name -> name on the package index, where they differ
DISTRIBUTIONS = {"sqlalchemy": "sqlalchemy", "prometheus_client": "prometheus-client", "fastapi_offline": "fastapi-offline",
                 "argon2": "argon2-cffi", "charset_normalizer": "charset-normalizer"}  # fmt: skip
#: installed for what they do when others find them
NOT_IMPORTED = {"httptools", "uvloop", "websockets", "python-multipart", "itsdangerous", "psycopg", "plotly"}
TIME = {
    "time.time",
    "time.time_ns",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.now",
    "datetime.utcnow",
}
#: ids are made of the time; whoever makes one has no clock
MAY_READ_TIME = {"engine/kernel/clock.py", "engine/kernel/job.py"}


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def declared(*extras: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = project["dependencies"] + [text for extra in extras for text in project["optional-dependencies"][extra]]
    return {re.match(r"[\w\-.]+", text).group() for text in wanted}  # type: ignore[union-attr]


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_a_module_says_what_it_is_for_and_does_nothing_that_the_house_forbids(file: Path) -> None:
    text = file.read_text("utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module opens with what it is for"
    made = set(calls(tree))
    assert not made & {"eval", "exec", "os.system"}, "no code is made from text"
    assert not set(imports(tree)) & {"pickle", "marshal", "shelve"}, "nothing is pickled"
    assert not re.search(r"#\s*(TODO|FIXME|XXX)\b", text), "nothing is left for later"


@pytest.mark.parametrize(
    "file", [file for file in MODULES if name_of(file).startswith(("engine/", "airgap/", "data/"))], ids=name_of
)
def test_only_the_clock_reads_the_time(file: Path) -> None:
    if name_of(file) not in MAY_READ_TIME:
        assert not set(calls(ast.parse(file.read_text("utf-8")))) & TIME


@pytest.mark.parametrize("file", sorted((ROOT / "tests").rglob("test_*.py")), ids=name_of)
def test_tests_wait_for_something_and_never_just_sleep(file: Path) -> None:
    assert not set(calls(ast.parse(file.read_text("utf-8")))) & {"time.sleep"}


def test_every_package_imported_is_declared_and_every_one_declared_is_used() -> None:
    found = {name for file in MODULES for name in imports(ast.parse(file.read_text("utf-8")))}
    foreign = found - set(sys.stdlib_module_names) - set(PACKAGES) - {"tests"}
    used = {DISTRIBUTIONS.get(name, name).lower() for name in foreign}
    assert used - declared() == set(), "imported and not declared in pyproject.toml"
    assert declared() - used - NOT_IMPORTED == set(), "declared in pyproject.toml and used nowhere"


def test_every_package_that_tests_import_comes_with_the_test_extra() -> None:
    files = [file for file in (ROOT / "tests").rglob("*.py") if "bench" not in file.parts]
    found = {name for file in files for name in imports(ast.parse(file.read_text("utf-8")))}
    foreign = found - set(sys.stdlib_module_names) - set(PACKAGES) - {"tests", "run"}
    assert {DISTRIBUTIONS.get(name, name).lower() for name in foreign} - declared("test") == set()


def test_the_launcher_is_understood_by_pythons_that_are_too_old() -> None:
    ast.parse((ROOT / "run.py").read_text("utf-8"), feature_version=(3, 6))


def test_a_package_of_the_house_can_be_imported_without_work_being_done() -> None:
    script = "import threading, engine, airgap, data; assert threading.active_count() == 1, threading.enumerate()"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=60)
