"""The configuration page tells every setting, and is the one that the settings make now."""

from __future__ import annotations

from pathlib import Path

from console.cli.reference import page
from engine.kernel.settings import options

PAGE = Path(__file__).resolve().parents[3] / "docs" / "configuration.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python3 run.py reference > docs/configuration.md"


def test_every_setting_is_told_with_its_meaning_and_its_variable() -> None:
    text = page()
    for option in options():
        assert f"### `{option.name}`\n\n{option.meaning}" in text
        assert f"`HOLDFAST_{option.name.upper()}`" in text
        assert (f"`--{option.name.replace('_', '-')}`" in text) != (option.secret or option.name == "queues")
