from __future__ import annotations

from typing import Any

import pytest

from engine.kernel.errors import ValidationError
from engine.queue.policy import QueuePolicy, changed
from engine.queue.retry import Retry


def test_a_table_of_settings_makes_a_retry() -> None:
    policy = changed(QueuePolicy("q"), {"retry": {"initial": 2, "maximum": 9, "on": ["ConnectionError"]}})
    assert policy.retry == Retry(2, 9, on=("ConnectionError",))


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"initial": -1}, "retry: initial: expected a number"),
        ({"pause": 5}, "retry: .*'pause'"),
        (7, "retry: expected a Retry"),
    ],
)
def test_a_wrong_table_is_refused_as_a_setting(table: Any, text: str) -> None:
    with pytest.raises(ValidationError, match=text) as refused:
        changed(QueuePolicy("q"), {"retry": table})
    assert refused.value.field == "retry"
