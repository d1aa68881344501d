"""The doctor on a Redis that is well, one that is set up badly, and none."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.cli import doctor, doctor_redis
from console.cli.doctor_redis import redis
from console.cli.findings import Finding
from engine.kernel.clock import FakeClock, SystemClock
from engine.kernel.settings import Settings
from engine.kernel.values import Secret
from tests.support.redis_hosts import RedisHost, redis_host


def seen(tmp_path: Path, url: str, clock: FakeClock | SystemClock | None = None, **options: object) -> list[Finding]:
    return list(redis(Settings(home=tmp_path, redis=url, **options), clock))  # type: ignore[arg-type]


def test_none_is_fine(tmp_path: Path) -> None:
    assert [finding.level for finding in seen(tmp_path, "")] == ["ok"]


def test_one_that_is_set_up_for_jobs_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_redis, "CLOCK_APART", 60.0)  # a machine that stands still makes its clock look wrong
    with redis_host(appendonly="yes", maxmemory_policy="noeviction") as host:
        (finding,) = seen(tmp_path, host.url)
    assert finding.level == "ok"
    assert "aof (everysec)" in finding.text
    assert host.url in finding.text


def test_one_that_throws_jobs_away_or_keeps_none_is_warned_about(tmp_path: Path) -> None:
    with redis_host(maxmemory="100mb", maxmemory_policy="allkeys-lru") as host:
        first, *rest = seen(tmp_path, host.url, FakeClock(1_700_000_000.0))
    assert first.level == "ok"
    policy, kept, clock = (f"{finding.text}; {finding.mend}" for finding in rest)
    assert "maxmemory-policy is allkeys-lru" in policy
    assert "CONFIG SET maxmemory-policy noeviction" in policy
    assert "append-only file" in kept
    assert "its clock is +" in clock
    assert {finding.level for finding in rest} == {"warning"}


def test_one_that_is_not_there_or_refuses_is_an_error_with_a_mend(tmp_path: Path) -> None:
    (gone,) = seen(tmp_path, "redis://127.0.0.1:1/0", redis_timeout=0.2)
    assert gone.level == "error"
    assert "127.0.0.1:1" in gone.text
    with redis_host(requirepass="hunter2-hunter2") as host:
        (refused,) = seen(tmp_path, host.url)
        assert "wants a password; set redis_password" in refused.text
        told, *_ = seen(tmp_path, host.url.replace("//", "//:hunter2-hunter2@"))
        assert "HOLDFAST_REDIS_PASSWORD" in told.mend
        assert seen(tmp_path, host.url, redis_password=Secret("hunter2-hunter2"))[0].level == "ok"


def test_a_user_without_the_rights_is_told_which_are_missing(tmp_path: Path) -> None:
    with redis_host(user="jobs on >hunter2-hunter2 ~hf:* +@all -evalsha") as host:
        (refused,) = seen(
            tmp_path, host.url, redis_username="jobs", redis_password=Secret("hunter2-hunter2"), fleet="main"
        )
    assert refused.level == "error"
    assert "evalsha" in refused.text


def test_the_doctor_looks_at_it(tmp_path: Path, redis_server: RedisHost) -> None:
    typed = doctor.parser().parse_args(["--home", str(tmp_path), "--port", "0", "--redis", redis_server.url])
    assert [finding.what for finding in doctor.examine(typed) if redis_server.url in finding.text] == ["redis"]
