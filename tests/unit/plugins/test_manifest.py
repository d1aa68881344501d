"""Manifests: what they say, and the one line about what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import SettingsError
from plugins.manifest import Backoff, read_manifest, settle_settings

GOOD = """
name = "sorting"
version = "1.2.3"
description = "Sorts things."
[[tasks]]
name = "sorting.sort"
queue = "documents"
max_attempts = 5
timeout = 12.5
backoff = { initial = 2 }
[permissions]
network = "public"
[settings]
depth = 3
ratio = 0.5
folders = ["a"]
strict = true
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "sorting"
    path.mkdir()
    return path


def written(folder: Path, text: str) -> Path:
    (folder / "plugin.toml").write_text(text)
    return folder


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read_manifest(written(folder, text))
    line = str(caught.value)
    assert line.startswith(str(folder / "plugin.toml")) and "\n" not in line
    return line


def test_a_manifest_says_how_its_tasks_run_and_what_is_not_said_has_a_default(folder: Path) -> None:
    manifest = read_manifest(written(folder, GOOD))
    task = manifest.tasks[0]
    assert (task.name, task.queue, task.max_attempts, task.timeout) == ("sorting.sort", "documents", 5, 12.5)
    assert task.isolation == "thread" and task.backoff == Backoff(initial=2)
    assert manifest.permissions.network == "public" and not manifest.permissions.database
    assert manifest.limits.memory_mb == 512 and manifest.entry == "tasks"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('name = "sorting"\n', 'name = "other"\n', "name: expected the name of its folder, 'sorting'"),
        ('version = "1.2.3"', 'version = "one"', "version: expected three numbers"),
        ('version = "1.2.3"', "", "missing required field `version`"),
        ('version = "1.2.3"', 'version = "1.2.3"\ncolour = "red"', "unknown field `colour`"),
        ("timeout = 12.5", 'timeout = "long"', "tasks[0].timeout: Expected `float`, got `str`"),
        ("timeout = 12.5", "timeout = 0", "tasks[0].timeout: expected seconds above 0"),
        ("max_attempts = 5", "max_attempts = 0", "tasks[0].max_attempts: expected 1 or more, got 0"),
        ('name = "sorting.sort"', 'name = "stealing.sort"', 'tasks[0].name: expected "sorting.verb"'),
        ('network = "public"', 'network = "all"', "permissions.network: Invalid enum value 'all'"),
        ("[[tasks]]", "[[tasks]\n", "plugin.toml: "),
        ("depth = 3", "depth = { a = 1 }", "settings"),
        ("[settings]", "[limits]\nmemory_mb = 1\n[settings]", "limits: expected memory_mb of 64 or more"),
    ],
)
def test_a_wrong_manifest_is_refused_in_one_line_that_names_file_and_key(
    folder: Path, old: str, new: str, expected: str
) -> None:
    assert old in GOOD
    assert expected in refusal(folder, GOOD.replace(old, new))


def test_a_task_that_is_named_twice_is_refused(folder: Path) -> None:
    twice = '[[tasks]]\nname = "sorting.sort"\n[permissions]'
    assert "tasks[1].name: 'sorting.sort' is there twice" in refusal(folder, GOOD.replace("[permissions]", twice))


def test_a_folder_without_a_manifest_and_one_with_bytes_for_text_are_refused(folder: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        read_manifest(folder)
    (folder / "plugin.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError):
        read_manifest(folder)


def test_what_an_operator_wrote_goes_over_the_defaults(folder: Path, tmp_path: Path) -> None:
    manifest = read_manifest(written(folder, GOOD))
    own = tmp_path / "sorting.toml"
    assert settle_settings(manifest, own) == manifest.settings
    own.write_text('depth = 7\nratio = 1\nfolders = ["x", "y"]\n')
    settled = settle_settings(manifest, own)
    assert settled == {"depth": 7, "ratio": 1.0, "folders": ["x", "y"], "strict": True}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("dept = 1", "dept: no such setting; did you mean 'depth'?"),
        ("zzz = 1", "zzz: no such setting; it has depth, folders, ratio, strict"),
        ('depth = "deep"', "depth: : Expected `int`, got `str`"),
        ("folders = [1]", "folders: [0]: Expected `str`, got `int`"),
        ("depth = ", "sorting.toml: "),
    ],
)
def test_a_wrong_setting_of_an_operator_is_refused_with_the_mend(
    folder: Path, tmp_path: Path, line: str, expected: str
) -> None:
    own = tmp_path / "sorting.toml"
    own.write_text(line)
    with pytest.raises(SettingsError) as caught:
        settle_settings(read_manifest(written(folder, GOOD)), own)
    assert expected.replace(": : ", ": ") in str(caught.value)
