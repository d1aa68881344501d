"""The recorder's statements name the columns that the tables have."""

from __future__ import annotations

import pytest

from data import statements, tables
from data.drafts import AgentDraft, AttemptDraft, Draft


@pytest.mark.parametrize(
    ("draft", "table"), [(Draft, tables.jobs), (AttemptDraft, tables.attempts), (AgentDraft, tables.agents)]
)
def test_a_draft_has_exactly_the_columns_of_its_table(draft: type[Draft], table: object) -> None:
    assert set(draft.__struct_fields__) == set(table.columns.keys())  # type: ignore[attr-defined]


def test_what_may_change_and_what_is_written_once_make_up_a_job() -> None:
    assert statements.WRITTEN_ONCE | set(statements.CHANGING) == set(statements.JOB_COLUMNS)
    assert statements.UPDATE_JOB.count("?") == len(statements.CHANGING) + 1
