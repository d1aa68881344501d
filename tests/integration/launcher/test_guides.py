"""What docs/api.md and docs/operating.md tell an operator to type, typed: against a real ``run.py`` and its home."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.journals import database
from tests.support.launched import ROOT, environment, launched

DOCS = ROOT / "docs"


def shell_of(page: str) -> str:
    """All shell snippets of a page, as one script."""
    return "\n".join(re.findall(r"```sh\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL))


def snippet(page: str, name: str) -> str:
    """The Python program of that name."""
    found = re.search(rf"```python\n# {re.escape(name)}\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)
    assert found, f"{page} has no {name}"
    return found[1]


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="curl and bash are not here")
def test_the_calls_of_the_api_guide_work_one_after_the_other(tmp_path: Path) -> None:
    with launched(tmp_path / "home") as started:
        tools = tmp_path / "bin"
        tools.mkdir()
        (tools / "python3").symlink_to(sys.executable)
        done = subprocess.run(
            ["bash", "-e", "-u", "-o", "pipefail", "-x", "-c", shell_of("api.md")],
            env=environment(
                HOLDFAST_URL=started.url,
                HOLDFAST_HOME=str(started.home),
                PATH=f"{tools}{os.pathsep}{os.environ['PATH']}",
            ),
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert '"field":"args.pth"' in done.stdout and "event: end" in done.stdout and "completed\n" in done.stdout


def test_every_path_that_the_api_guide_names_is_served(tmp_path: Path) -> None:
    named = set(re.findall(r"(?<![\w.])(/v1/[a-z]+(?:/[a-z{}-]+)*)", (DOCS / "api.md").read_text("utf-8")))
    with launched(tmp_path / "home") as started, started.client as client:
        served = {re.sub(r"{\w+}", "{}", path) for path in client.get("/openapi.json").json()["paths"]}
        assert client.get("/docs").status_code == 200
    shapes = {re.sub(r"{\w+}", "{}", path) for path in named} | {"/v1/stats/queues", "/v1/stats/failures"}
    missing = {
        shape for shape in shapes if not any(re.fullmatch(path.replace("{}", "[^/]+"), shape) for path in served)
    }
    assert not missing


def program(name: str, *argv: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the operating guide, as told there: from the folder of run.py."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", snippet("operating.md", name), *map(str, argv)],
        cwd=ROOT, env=environment(**env), capture_output=True, text=True, timeout=180,
    )  # fmt: skip


def test_a_backup_of_a_running_home_starts_elsewhere_with_all_its_jobs(tmp_path: Path) -> None:
    with launched(tmp_path / "home") as started:
        with started.client as client:
            job = {"task": "documents.extract", "args": {"path": "sample.pdf"}, "delay": 3600}
            id = client.post("/v1/jobs", json=job).json()["id"]
        made = program("backup.py", tmp_path / "home", tmp_path / "backup")
        assert made.returncode == 0, made.stderr
    for path in (tmp_path / "backup").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    with launched(tmp_path / "backup") as restored, restored.client as client:
        assert client.get(f"/v1/jobs/{id}").json()["state"] == "scheduled"
        assert restored.stop() == 0


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
def test_the_unit_is_one_that_systemd_understands(tmp_path: Path) -> None:
    found = re.search(r"```ini\n(.*?)```", (DOCS / "operating.md").read_text("utf-8"), re.DOTALL)
    assert found
    unit = tmp_path / "holdfast.service"
    unit.write_text(found[1].replace("/opt/holdfast/run.py", str(ROOT / "run.py")))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=180)
    complaints = [line for line in done.stderr.splitlines() if "holdfast.service" in line]
    assert not complaints


def test_the_log_tells_of_starts_and_stops_and_of_what_was_set_aside(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with launched(home) as started:
        started.stop()
    with database(home) as store:
        store.execute("UPDATE Cache SET value = zeroblob(80) WHERE key = (SELECT min(key) FROM Cache WHERE key > 0)")
    store.close()
    with launched(home) as started:
        listed = re.search(r'cache\.db "(SELECT .*?)"\n', (DOCS / "operating.md").read_text("utf-8"))
        assert listed
        with database(home) as store:
            [(_, what, reason)] = store.execute(listed[1]).fetchall()
        store.close()
        started.stop()
    said = (home / "logs" / "holdfast.log").read_text()
    assert said.count(" is running at http://127.0.0.1:") == said.count("stopping") == 2
    assert f"set aside: {what} ({reason})" in said
