"""The half of run.py that works before there is an environment: on a copy, with Pythons that lack something."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import run
from console.cli import environment as bootstrap
from tests.support.launched import ROOT, environment
from tests.support.waiting import until


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """run.py and what it needs before there is an environment, alone in a folder."""
    folder = tmp_path / "project"
    for name in (
        "run.py",
        "pyproject.toml",
        "console/__init__.py",
        "console/cli/__init__.py",
        "console/cli/environment.py",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python with nothing installed."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return str(folder / "bin" / "python")


def without(folder: Path, module: str) -> dict[str, str]:
    """Variables that make a Python have no such module, as distributions do."""
    hook = folder / "hooks"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(
        "import sys\n"
        "class Without:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] == {module!r}:\n"
        f"            raise ModuleNotFoundError('No module named ' + {module!r})\n"
        "sys.meta_path.insert(0, Without())\n"
    )
    return {"PYTHONPATH": str(hook)}


def start(copy: Path, python: str, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, str(copy / "run.py"), *argv],
        capture_output=True,
        text=True,
        timeout=600,
        env=environment(PYTHONPATH="") | env,
    )


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_python_that_cannot_make_environments_is_told_with_the_mend(
    copy: Path, bare: str, tmp_path: Path, module: str
) -> None:
    done = start(copy, bare, **without(tmp_path, module))
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"holdfast: this Python ({bare}) has no {module}")
    assert "sudo apt install python3-venv" in last


def test_without_the_packages_the_cause_and_the_mend_are_told_and_nothing_counts_as_installed(
    copy: Path, bare: str, tmp_path: Path
) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    done = start(copy, bare, HOLDFAST_WHEELS=str(wheels))
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert "making the environment" in done.stderr
    assert lines[-1].startswith("holdfast: the packages could not be installed")
    assert "add its wheel" in lines[-1]
    assert (copy / ".venv" / "install.log").stat().st_size
    assert not (copy / ".venv" / "holdfast.json").exists()
    again = start(copy, bare, HOLDFAST_WHEELS=str(wheels))
    assert again.returncode == 1, "it is tried anew"
    assert "making the environment" not in again.stderr, "what stands already stays"


def test_an_unreachable_index_is_told_with_the_way_to_install_offline(copy: Path, bare: str) -> None:
    done = start(
        copy,
        bare,
        PIP_INDEX_URL="http://127.0.0.1:9/simple",
        PIP_RETRIES="0",
        PIP_TIMEOUT="1",
        PIP_CONFIG_FILE=os.devnull,
    )
    assert done.returncode == 1
    assert "set HOLDFAST_WHEELS to it" in done.stderr.splitlines()[-1]


def test_an_installation_that_is_stopped_ends_with_its_pip(copy: Path, bare: str) -> None:
    env = environment(
        PYTHONPATH="", PIP_INDEX_URL="http://192.0.2.1/simple", PIP_RETRIES="9", PIP_CONFIG_FILE=os.devnull
    )
    process = subprocess.Popen([bare, str(copy / "run.py")], stderr=subprocess.PIPE, text=True, env=env)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    log = copy / ".venv" / "install.log"
    until(lambda: log.exists() and children.read_text().strip(), 300)
    pip = int(children.read_text().split()[0])
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 1
    assert process.stderr is not None
    assert process.stderr.read().splitlines()[-1].startswith("holdfast: stopped")
    process.stderr.close()
    until(lambda: not Path(f"/proc/{pip}").exists())


def test_a_folder_that_may_not_be_written_is_told(copy: Path, bare: str) -> None:
    (copy / ".venv").write_text("a file where the environment should be")
    done = start(copy, bare)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "may not be written" in done.stderr


def test_help_needs_no_environment(copy: Path, bare: str) -> None:
    done = start(copy, bare, "--help")
    assert done.returncode == 0
    assert "python3 run.py doctor" in done.stdout
    assert not (copy / ".venv").exists()


def test_a_python_that_is_too_old_says_which_one_is_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "OLDEST", (3, 99))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit) as ended:
        run.main([])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("holdfast: Python 3.99 or newer is needed, this is 3.")


def test_a_newer_python_on_the_path_is_taken_over_to(tmp_path: Path, copy: Path) -> None:
    newer = tmp_path / "bin" / "python3.20"
    newer.parent.mkdir()
    newer.write_text('#!/bin/sh\necho "$@"\n')
    newer.chmod(0o755)
    text = (copy / "run.py").read_text().replace("OLDEST = (3, 11)", "OLDEST = (3, 19)")
    (copy / "run.py").write_text(text)
    done = start(copy, sys.executable, "jobs", "list", PATH=f"{newer.parent}:/usr/bin:/bin")
    assert done.stdout == f"{copy / 'run.py'} jobs list\n"


def test_an_bootstrapcounts_as_complete_only_for_this_pyproject_and_these_extras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamp = tmp_path / "holdfast.json"
    monkeypatch.setattr(bootstrap, "STAMP", stamp)
    monkeypatch.setattr(bootstrap, "VENV_PYTHON", Path(sys.executable))
    assert not bootstrap.stands_in_venv([])
    stamp.write_text(json.dumps(bootstrap.wanted_stamp([])))
    assert bootstrap.stands_in_venv([])
    assert not bootstrap.stands_in_venv(["test"])
    stamp.write_text(json.dumps(bootstrap.wanted_stamp(["test"])))
    assert bootstrap.stands_in_venv([])
    stamp.write_text(json.dumps(bootstrap.wanted_stamp([]) | {"pyproject": "of yesterday"}))
    assert not bootstrap.stands_in_venv([])
    stamp.write_text("{ torn")
    assert not bootstrap.stands_in_venv([])


def test_requirements_are_read_as_pip_reads_them() -> None:
    found = {name: (least, below) for name, least, below in bootstrap.requirements(["test"])}
    assert found["huey"] == ((3, 5), (3, 6))
    assert found["psycopg"] == ((3, 2), (4,))
    assert "pytest" in found
    assert bootstrap.numbers("1.10.0rc1") == (1, 10, 0)


@pytest.mark.slow
def test_a_fresh_machine_gets_its_bootstrapand_goes_on_by_itself(tmp_path: Path, bare: str) -> None:
    project = tmp_path / "project"
    shutil.copytree(ROOT, project, ignore=shutil.ignore_patterns(".venv", ".git", "*.egg-info", ".*_cache"))
    env = environment(PYTHONPATH="")
    command = [bare, str(project / "run.py"), "doctor", "--home", str(tmp_path / "home"), "--port", "0"]
    first = subprocess.run(command, capture_output=True, text=True, env=env, timeout=900)
    assert first.returncode == 0, first.stderr
    assert "ready after" in first.stderr
    assert f"({project}/.venv/bin/python)" in first.stdout
    second = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)
    assert second.returncode == 0
    assert "dependencies are missing" not in second.stderr
