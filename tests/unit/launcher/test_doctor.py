"""The doctor: every line is ok, warning or error, and the last two carry the mend."""

from __future__ import annotations

import argparse
import json
import os
import socket
from pathlib import Path

import pytest

from airgap.keys import KeyRing
from console.cli import doctor
from console.cli.findings import Finding
from data import audit
from data.database import open_database
from engine.kernel.clock import FakeClock


def examined(*argv: str, clock: FakeClock | None = None) -> dict[str, Finding]:
    typed: argparse.Namespace = doctor.parser().parse_args(argv)
    found = list(doctor.examine(typed, clock or FakeClock(doctor.RELEASED + 1)))
    assert all(finding.level in {"ok", "warning", "error"} for finding in found)
    assert all(finding.mend for finding in found if finding.level != "ok"), "what is not well has a mend"
    return {finding.what: finding for finding in sorted(found, key=lambda finding: finding.level != "ok")}


def test_a_fresh_home_is_well_and_stays_untouched(tmp_path: Path) -> None:
    found = examined("--home", str(tmp_path / "home"), "--port", "0")
    assert {finding.level for finding in found.values()} <= {"ok", "warning"}
    assert "made at first start" in found["home"].text
    assert not (tmp_path / "home").exists()


def test_wrong_settings_are_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--port", "many", "--workers", "0"]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("error")]
    assert len(lines) == 2


def test_a_clock_that_was_never_set_is_an_error(tmp_path: Path) -> None:
    assert examined("--home", str(tmp_path), clock=FakeClock(86_400.0))["clock"].level == "error"


@pytest.mark.skipif(os.name != "posix", reason="rights of files are POSIX")
def test_a_home_that_others_may_read_is_warned_about(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    finding = examined("--home", str(tmp_path), "--port", "0")["home"]
    assert (finding.level, finding.mend) == ("warning", f"chmod 700 {tmp_path}")


def test_a_taken_port_is_an_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = examined("--home", str(tmp_path), "--port", str(taken.getsockname()[1]))
    assert found["port"].level == "error"


def test_a_key_ring_that_does_not_open_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    KeyRing.open(tmp_path / "keys", "passphrase", "the right words")
    monkeypatch.setenv("HOLDFAST_KEY_SOURCE", "passphrase")
    monkeypatch.setenv("HOLDFAST_PASSPHRASE", "other words")
    finding = examined("--home", str(tmp_path), "--port", "0")["key ring"]
    assert finding.level == "error"
    monkeypatch.setenv("HOLDFAST_PASSPHRASE", "the right words")
    assert examined("--home", str(tmp_path), "--port", "0")["keys"].level == "ok"


def test_a_database_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "holdfast.db").write_bytes(b"this is no database" * 100)
    assert examined("--home", str(tmp_path), "--port", "0")["history"].level == "error"


def test_an_audit_that_was_changed_is_an_error_that_names_the_entry(tmp_path: Path) -> None:
    database = open_database("", tmp_path)
    for n in range(3):
        audit.append(database, "eva", "job.retry", f"job-{n}", at=1.0)
    assert examined("--home", str(tmp_path), "--port", "0")["audit"].text.startswith("3 entries, none changed")
    with database.writing() as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_no_update")
        connection.exec_driver_sql("UPDATE audit SET actor = 'nobody' WHERE n = 2")
    database.close()
    finding = examined("--home", str(tmp_path), "--port", "0")["audit"]
    assert (finding.level, finding.text[:7]) == ("error", "entry 2")


def test_a_module_with_tasks_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    found = examined("--home", str(tmp_path), "--port", "0", "--tasks", "no.such.module")
    assert found["tasks"].level == "error"


def test_what_opens_the_console_to_the_network_is_warned_about(tmp_path: Path) -> None:
    assert examined("--home", str(tmp_path), "--port", "0", "--host", "0.0.0.0")["host"].level == "warning"


def test_programs_get_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--home", str(tmp_path / "home"), "--port", "0", "--json"]) == 0
    assert {"level", "what", "text", "mend"} == set(json.loads(capsys.readouterr().out)[0])
