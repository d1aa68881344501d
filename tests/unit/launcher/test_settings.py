"""Settings: where they come from, which is stronger, and what is said about wrong ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.kernel import values
from engine.kernel.errors import SettingsError
from engine.kernel.queues import PRESETS
from engine.kernel.settings import Secret, Settings, options, user_data_folder
from engine.kernel.sources import load

PORTS = st.none() | st.integers(0, 65_535)
ROOT = Path(__file__).resolve().parents[3]


def problems(
    flags: dict[str, Any] | None = None, environ: dict[str, str] | None = None, file: Path | None = None
) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(flags or {}, environ or {}, file)
    return str(caught.value).splitlines()


@given(flag=PORTS, environ=PORTS, table=PORTS)
def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default(
    tmp_path_factory: pytest.TempPathFactory, flag: int | None, environ: int | None, table: int | None
) -> None:
    file = tmp_path_factory.mktemp("settings") / "holdfast.toml"
    file.write_text("" if table is None else f"port = {table}")
    settings = load(
        {} if flag is None else {"port": str(flag)}, {} if environ is None else {"HOLDFAST_PORT": str(environ)}, file
    )
    assert settings.port == next((value for value in (flag, environ, table) if value is not None), 8080)


@pytest.mark.parametrize("option", options(), ids=lambda option: option.name)
def test_every_setting_takes_its_own_example_and_a_parsed_value_again(option: Any) -> None:
    example = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=" if option.name == "key" else option.example
    parsed = option.parse(example)
    assert option.parse(parsed) == parsed


def test_every_problem_is_told_at_once_each_with_its_place_and_its_mend(tmp_path: Path) -> None:
    file = tmp_path / "holdfast.toml"
    file.write_text('workers = "many"\nprot = 1\n[queues.emails]\nconcurency = 3\n')
    lines = problems({"port": "99999"}, {"HOLDFAST_STORE_LIMIT": "lots", "HOLDFAST_HSOT": "0.0.0.0"}, file)
    assert [line.split(":")[0] for line in lines] == [
        f"prot in {file}", "HOLDFAST_HSOT", "port", "workers", "store_limit", "queues",
    ]  # fmt: skip
    assert "did you mean port?" in lines[0]
    assert "did you mean HOLDFAST_HOST?" in lines[1]
    assert lines[2].endswith("got '99999' (from --port); try --port 8080")
    assert lines[3].endswith(f"got 'many' (from workers in {file}); try workers = 8")
    assert "(from HOLDFAST_STORE_LIMIT); try HOLDFAST_STORE_LIMIT=4GiB" in lines[4]
    assert "emails: a queue has no setting 'concurency'; did you mean concurrency?" in lines[5]


def test_a_wrong_value_is_told_also_where_a_stronger_source_hides_it() -> None:
    assert problems({"port": "8081"}, {"HOLDFAST_PORT": "tcp://10.0.0.1:80"})[0].startswith(
        "port: expected a whole number"
    )


def test_variables_that_a_container_platform_makes_up_are_left_alone() -> None:
    assert load({}, {"HOLDFAST_SERVICE_HOST": "10.0.0.1", "HOLDFAST_PORT_8080_TCP_PROTO": "tcp"}).port == 8080


def test_a_file_that_is_not_there_or_no_toml_is_one_line(tmp_path: Path) -> None:
    assert "there is no file" in problems(file=tmp_path / "none.toml")[0]
    broken = tmp_path / "broken.toml"
    broken.write_text("port = = 1")
    assert "is no TOML" in problems(file=broken)[0]


def test_a_redis_is_taken_in_all_its_forms_and_never_shown() -> None:
    for url in ("redis://u:hunter2@h/0", "rediss://h", "redis+sentinel://a:1,b:2/main/0", "redis+cluster://a:1,b:2"):
        settings = load({"redis": url}, {"HOLDFAST_REDIS_PASSWORD": "hunter2"})
        assert settings.redis == url
        assert "hunter2" not in f"{settings!r}"
    (line,) = problems({"redis": "http://u:hunter2@h"})
    assert line.startswith("redis: expected a URL")
    assert "hunter2" not in line


def test_what_needs_a_redis_says_so_where_there_is_none() -> None:
    assert problems({"durability": "redis"})[0].endswith("set redis, or durability to power")
    assert problems({"failover": "airgap-safe"})[0].startswith("failover: airgap-safe is about a Redis")
    assert problems({"queues": '{"mail": {"durability": "redis"}}'})[0].startswith("queues: mail: durability redis")
    assert load({"durability": "redis", "redis": "redis://h"}, {}).durability == "redis"


def test_a_queue_cannot_ask_for_more_than_the_store_gives() -> None:
    line = problems({"durability": "process", "queues": '{"mail": {"durability": "power"}}'})[0]
    assert "mail: durability power is more than the store gives" in line


def test_settings_of_redis_that_do_not_go_together_are_told() -> None:
    assert problems({"redis_pool_min": "9", "redis_pool_max": "8"}) == [
        "redis_pool_min: it is above redis_pool_max; lower it"
    ]
    assert problems({"redis_cert": "/c.pem"})[0].startswith("redis_cert: a certificate and its key go together")


def test_payments_are_held_by_the_node_that_took_them() -> None:
    assert load({}, {}).queues["payments"]["reclaim"] == "hold"
    assert "reclaim: expected one of deadline, hold" in problems({"queues": '{"q": {"reclaim": "never"}}'})[0]


def test_a_key_source_needs_its_secret() -> None:
    assert problems({}, {"HOLDFAST_KEY_SOURCE": "passphrase"})[0].endswith("set HOLDFAST_PASSPHRASE")
    assert "HOLDFAST_KEY" in problems({}, {"HOLDFAST_KEY_SOURCE": "environment"})[0]


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "home"
    file.write_text("")
    assert problems({"home": str(file)})[0].startswith("home: expected a folder")


def test_a_secret_shows_itself_to_nobody_who_does_not_ask() -> None:
    settings = load({}, {"HOLDFAST_ADMIN_TOKEN": "hunter2-hunter2-hunter2"})
    token = settings.admin_token
    assert token is not None
    assert "hunter2" not in f"{settings} {settings!r} {token} {token!r} {token:>30}"
    assert token.reveal() == "hunter2-hunter2-hunter2"
    assert type(token.reveal()) is str
    assert token == "hunter2-hunter2-hunter2"


def test_a_short_admin_token_is_refused_without_being_shown() -> None:
    line = problems({}, {"HOLDFAST_ADMIN_TOKEN": "hunter2"})[0]
    assert "at least 16" in line
    assert "hunter2" not in line


@pytest.mark.parametrize("url", ["mysql://root:hunter2@db/x", "postgresql:hunter2"])
def test_a_wrong_database_url_is_not_repeated_because_it_may_hold_a_password(url: str) -> None:
    assert "hunter2" not in problems({"database": url})[0]


def test_queues_of_the_file_are_laid_over_the_presets(tmp_path: Path) -> None:
    file = tmp_path / "holdfast.toml"
    file.write_text(
        '[queues.emails]\nconcurrency = 3\nrate_limit = "100 / m"\n[queues.mine]\npriority = 1\nretention = "7d"\n'
    )
    queues = load({}, {}, file).queues
    assert queues["emails"] == {"priority": 4, "concurrency": 3, "rate_limit": "100/m"}
    assert queues["mine"] == {"priority": 1, "retention": 604_800.0}
    assert queues["critical"] == PRESETS["critical"]
    assert set(PRESETS) | {"mine"} == set(queues)


def test_two_settings_objects_share_no_queue_table() -> None:
    Settings().queues["emails"]["concurrency"] = 999
    assert Settings().queues["emails"]["concurrency"] == PRESETS["emails"]["concurrency"] != 999


def test_settings_made_in_code_are_checked_like_any_other(tmp_path: Path) -> None:
    assert Settings(home=str(tmp_path), result_ttl="2h").result_ttl == 7200  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="workers: expected a whole number"):
        Settings(workers=0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90", 90), ("90s", 90), ("1.5h", 5400), ("15m", 900), ("7d", 604_800), (30, 30), ("250ms", 0.25)],
)
def test_spans_of_time_are_written_as_people_write_them(written: Any, seconds: float) -> None:
    assert values.seconds(0, 1e9)(written) == seconds


@pytest.mark.parametrize(("written", "size"), [("4GiB", 4 << 30), ("500MB", 500_000_000), ("64k", 65_536), (123, 123)])
def test_sizes_are_written_as_people_write_them(written: Any, size: int) -> None:
    assert values.size(0, 1 << 50)(written) == size


@given(st.text())
def test_any_text_is_either_a_value_or_a_value_error(text: str) -> None:
    for option in options():
        try:
            parsed = option.parse(text)
        except ValueError as error:
            assert "\n" not in str(error)
        else:
            assert option.parse(parsed) == parsed


def test_home_is_where_the_platform_keeps_a_users_data() -> None:
    assert user_data_folder("linux", {"XDG_DATA_HOME": "/data"}) == Path("/data/holdfast")
    assert user_data_folder("linux", {"XDG_DATA_HOME": "not/absolute"}) == Path.home() / ".local/share/holdfast"
    assert user_data_folder("darwin", {}) == Path.home() / "Library/Application Support/holdfast"
    assert user_data_folder("win32", {"LOCALAPPDATA": "/u/local"}) == Path("/u/local/holdfast")


def test_a_secret_may_be_used_as_the_text_that_it_is() -> None:
    assert Secret("abc").encode() == b"abc"
