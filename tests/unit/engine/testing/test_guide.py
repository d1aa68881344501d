"""The snippets of docs/testing.md are a program with its tests; they are run as their readers would run them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]
_FILE = re.compile(r"```python\n# (?P<path>[\w/]+\.py)\n(?P<text>.*?)```", re.DOTALL)


def test_the_guides_own_tests_pass(tmp_path: Path) -> None:
    files = {found["path"]: found["text"] for found in _FILE.finditer((ROOT / "docs/testing.md").read_text())}
    assert {"shop/tasks.py", "conftest.py", "test_orders.py", "test_faults.py", "test_with_workers.py"} == files.keys()
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__init__.py").write_text("")
    for path, text in files.items():
        (tmp_path / path).write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", str(tmp_path)],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{ROOT}:{tmp_path}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tests = sum(text.count("\ndef test_") for text in files.values())
    assert f"{tests} passed" in done.stdout
