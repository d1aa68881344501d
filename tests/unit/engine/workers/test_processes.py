from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.kernel.job import Job, JobState, new_id
from engine.queue import codec
from engine.workers import frames, processes
from engine.workers.processes import ChildDied, ChildGone, Children, ProcessBody, RemoteFailure
from tests.integration.engine import works
from tests.support.tasks import Heard
from tests.support.waiting import until


@pytest.fixture
def children() -> Iterator[Children]:
    children = Children()
    yield children
    children.close()


def body(children: Children, task: Any, **args: Any) -> ProcessBody:
    payload = codec.encode(args)
    job = Job(new_id(), "q", task.name, payload, 5, "", 0.0, 0.0, 0.0, 3, 0.0, "", JobState.RUNNING, attempt=1)
    return ProcessBody(job, task.spec, Heard(), children, 0.0)


def result(done: ProcessBody) -> Any:
    assert done.done is not None and done.done.result is not None
    return codec.decode_value(done.done.result)


def run(children: Children, task: Any, **args: Any) -> Any:
    one = body(children, task, **args)
    one.run()
    return result(one)


def test_a_child_is_used_again_until_it_is_worn(children: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "JOBS_PER_CHILD", 2)
    pids = [run(children, works.facts)["pid"] for _ in range(3)]
    assert pids[0] == pids[1] != pids[2]


def test_a_child_that_grew_too_large_is_not_used_again(children: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(children, works.facts)["pid"]
    monkeypatch.setattr(processes, "MEMORY_PER_CHILD", 1)
    assert run(children, works.facts)["pid"] == first
    assert run(children, works.facts)["pid"] != first


def test_what_is_measured_comes_back(children: Children) -> None:
    one = body(children, works.add, a=1, b=2)
    one.run()
    assert one.done is not None and one.done.memory > 2**20 and one.done.cpu >= 0


def test_a_failure_in_a_child_is_told_with_its_traceback(children: Children) -> None:
    with pytest.raises(RemoteFailure) as failed:
        body(children, works.fail, text="gone").run()
    assert (failed.value.failure.type, failed.value.failure.message) == ("LookupError", "gone")
    assert "works.py" in failed.value.failure.traceback and "LookupError" in failed.value.outcome.names


def test_a_death_is_told_apart_from_never_having_begun(children: Children) -> None:
    with pytest.raises(ChildDied, match="ended with signal 9") as died:
        body(children, works.die).run()
    assert not isinstance(died.value, ChildGone)
    with pytest.raises(ChildDied, match="ended with exit code 3"):
        body(children, works.leave).run()


def test_an_interrupt_before_it_begins_spares_the_child_nothing_and_the_job_everything(children: Children) -> None:
    class Stop(Exception):
        pass

    one = body(children, works.add, a=1, b=2)
    one.interrupt(Stop())
    with pytest.raises(Stop):
        one.run()
    assert one.done is None
    assert run(children, works.add, a=1, b=2) == 3


def test_a_child_outlives_the_thread_that_used_it_first(children: Children) -> None:
    pids: list[int] = []
    thread = threading.Thread(target=lambda: pids.append(run(children, works.facts)["pid"]))
    thread.start()
    thread.join(60)
    until(lambda: not Path(f"/proc/self/task/{thread.native_id}").exists(), what="the kernel's thread is gone")
    assert run(children, works.facts)["pid"] == pids[0]


def test_children_that_come_back_after_the_end_are_ended(children: Children) -> None:
    child = children.take()
    children.close()
    children.give(child)
    assert not child.alive


def test_frames_survive_the_pipe_and_a_cut_one_ends_the_stream() -> None:
    stream = io.BytesIO()
    sent: list[frames.Frame] = [frames.Begun(), frames.Progress(0.5, "half"), frames.Line(20, "x"), frames.Output("n", b"1"),
                                frames.Done(b"1")]  # fmt: skip
    for frame in sent:
        frames.write(stream, frame)
    whole = stream.getvalue()
    assert list(frames.read(io.BytesIO(whole))) == sent
    assert list(frames.read(io.BytesIO(whole[:-3]))) == sent[:-1]
    assert list(frames.read(io.BytesIO(b"\x00\x00\x00\x04oops"))) == []
