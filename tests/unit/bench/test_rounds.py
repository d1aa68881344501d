from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from tests.bench import rounds
from tests.bench.figures import Options
from tests.bench.peers import redis
from tests.support.programs import need
from tests.support.waiting import until

PIECES = "tests.unit.bench.pieces"


def test_each_round_is_a_process_with_an_empty_folder_and_none_of_the_users_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_PORT", "1")
    answers = rounds.run(Options(tmp_path, rounds=2), f"{PIECES}:told", jobs=7)
    assert answers == [{"jobs": 7, "empty": ["output.txt"], "settings": []}] * 2
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_a_round_that_fails_tells_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(rounds.RoundFailed, match=r"code 1(.|\n)*what was printed before(.|\n)*nothing to measure"):
        rounds.once(Options(tmp_path), f"{PIECES}:failing")


def test_a_round_that_hangs_is_ended_with_all_its_children(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.bench.rounds", f"{PIECES}:hanging", str(tmp_path), "{}"]
    told = tmp_path / "child"
    for patience in (3, 60):  # the second where the round had not come so far
        with pytest.raises(rounds.RoundFailed, match="no answer within"):
            rounds.answer_of(command, tmp_path, patience=patience)
        if told.exists() and told.read_text():
            break
    until(lambda: not alive(int(told.read_text())), what="the child of the child is gone")


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_benchs_own_redis_answers_on_loopback_and_is_gone_afterwards() -> None:
    need("redis-server")
    with redis.server() as port:
        until(lambda: redis.answers(port))
    until(lambda: not redis.answers(port), what="the server is gone")
