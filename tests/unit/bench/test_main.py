from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import main, report, rounds
from tests.bench.figures import Options
from tests.support.programs import need


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--only", "drian"], "there is no 'drian'; did you mean drain?"),
        (["--only", ","], "expected at least one of enqueue, drain"),
        (["--vs", "sidekiq"], "there is no 'sidekiq'"),
        (["--rounds", "0"], "expected a whole number from 1, got '0'"),
        (["--folder", "/not/there"], "expected a folder that exists"),
        (["--compare", "/not/there.json"], "holds no figures of an earlier run"),
    ],
)
def test_a_wrong_command_line_is_told_before_anything_is_measured(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(argv)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_names_are_taken_once_and_in_the_order_given() -> None:
    assert main.parser().parse_args(["--only", "latency, drain,latency"]).only == ("latency", "drain")


def test_a_drain_runs_every_job_once_and_history_knows_it(tmp_path: Path) -> None:
    answer = rounds.once(Options(tmp_path), "tests.bench.drain:drain_round", jobs=300)
    assert set(answer) == {"rate", "seconds", "cpu", "behind", "lag"}
    assert min(answer["rate"], answer["seconds"], answer["cpu"], answer["lag"]) > 0


def test_latency_is_measured_from_the_call_to_the_start(tmp_path: Path) -> None:
    answer = rounds.once(Options(tmp_path), "tests.bench.latency:idle_round", jobs=20)
    assert 0 < answer["idle_p50"] <= answer["idle_p99"]


def test_what_redis_spends_is_measured_on_a_real_one(tmp_path: Path) -> None:
    need("redis-server")
    answer = rounds.once(Options(tmp_path), "tests.bench.scripts:scripts_round", jobs=2_000)
    assert 0 < answer["cpu"] < 1_000
    assert 0 < answer["script"] <= answer["longest"]


@pytest.mark.bench
def test_drains_agents_kills_and_the_way_back_are_measured_on_a_real_redis(tmp_path: Path) -> None:
    need("redis-server")
    found = {
        name: rounds.once(Options(tmp_path), f"tests.bench.{name}", **sizes)
        for name, sizes in {
            "linked:linked_round": {"jobs": 500, "durability": "redis"},
            "agents:agents_round": {"noops": 500, "spins": 100},
            "agents:across_round": {"jobs": 20},
            "agents:killed_round": {},
            "returning:resync_round": {"jobs": 500},
            "returning:heartbeats_round": {"seconds": 1.0},
        }.items()
    }
    assert min(found["linked:linked_round"].values()) > 0
    assert min(found["agents:agents_round"].values()) > 0
    assert found["agents:killed_round"]["lost"] == 0
    assert found["returning:resync_round"]["rate"] > 0


@pytest.mark.bench
def test_a_quick_look_gives_a_table_a_file_and_a_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, argv = tmp_path / "bench.json", ["--quick", "--only", "enqueue,latency,memory", "--folder", str(tmp_path)]
    assert main.main([*argv, "--json", str(file)]) == 0
    kept = report.read(file)
    assert {figure.name.partition(".")[0] for figure in kept.figures} == {"enqueue", "latency", "memory"}
    assert main.main([*argv, "--json", str(file), "--compare", str(file)]) == 0
    told = capsys.readouterr().out
    assert all(figure.text in told for figure in kept.figures)
    assert "change" in told
