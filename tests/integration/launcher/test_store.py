"""``run.py store`` and ``audit verify`` against a real console, and on its home once it has stopped."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from tests.support.journals import hurt, some_jobs, store_in
from tests.support.launched import launched, run


def damaged(home: Path) -> Path:
    """A home with three jobs, one of them in a segment that was hurt."""
    store = store_in(home)
    for job in some_jobs(3):
        store.put([job])
    store.close()
    hurt(home, 2)
    return home


def test_what_was_set_aside_is_listed_acknowledged_and_known_after_a_restart(tmp_path: Path) -> None:
    home = damaged(tmp_path / "home")
    with launched(home) as started:
        shown = run("store", "--home", home)
        assert shown.returncode == 0, shown.stderr
        assert "set aside    1, 1 not acknowledged" in shown.stdout and "segment 2" in shown.stdout
        done = run("store", "acknowledge", "--home", home)
        assert (done.returncode, done.stdout.split()[0]) == (0, "1"), done.stderr
        started.stop()
    with launched(home) as started:
        facts = json.loads(run("store", "--home", home, "--json").stdout)
        assert facts["unacknowledged"] == 0 and [item["what"] for item in facts["quarantined"]] == ["segment 2"]
        started.stop()
    nobody = run("store", "--home", home)
    assert nobody.returncode == 1 and "start one with" in nobody.stderr


def test_the_audit_of_a_running_and_of_a_stopped_home_is_verified(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with launched(home) as started, started.client as client:
        for change in ("pause", "resume"):
            assert client.post(f"/v1/queues/emails/{change}").status_code == 200
        whole = run("audit", "verify", "--home", home)
        assert whole.returncode == 0 and "2 entries, none changed; head 2:" in whole.stdout, whole.stdout
        started.stop()
    head = whole.stdout.split()[-1]
    with sqlite3.connect(home / "holdfast.db") as history:
        history.execute("DROP TRIGGER audit_no_update")
        history.execute("UPDATE audit SET actor = 'nobody' WHERE n = 1")
    history.close()
    for argv in (["audit", "verify"], ["audit", "verify", "--head", head], ["doctor"]):
        done = run(*argv, "--home", home)
        assert done.returncode == 1 and "entry 1 is not as it was written" in done.stdout
