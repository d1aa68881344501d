"""What Redis refuses, in our words; and how long a server that is gone is left alone."""

from __future__ import annotations

import pytest
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    NoPermissionError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,
)

from engine.kernel.clock import FakeClock
from engine.kernel.errors import HoldfastError, StoreFull, Unreachable
from engine.storage.redis.errors import asks, redirection, translated
from engine.storage.redis.pause import LONGEST_PAUSE, Pause

#: as 6.2 tells what a script met inside
INSIDE = "ERR Error running script (call to f_1): @user_script:3: @user_script: 3: -{} command not allowed"


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (BusyLoadingError("Redis is loading the dataset in memory"), Unreachable, "is still loading its data"),
        (ReadOnlyError("You can't write against a read only replica."), Unreachable, "read-only replica"),
        (ResponseError(INSIDE.format("READONLY You can't write")), Unreachable, "read-only replica"),
        (ResponseError(INSIDE.format("OOM")), StoreFull, "is full (maxmemory)"),
        (ResponseError("OOM command not allowed when used memory > 'maxmemory'."), StoreFull, "at claim"),
        (ResponseError("MISCONF Redis is configured to save RDB snapshots"), Unreachable, "cannot save to its disk"),
        (ResponseError("NOREPLICAS Not enough good replicas to write."), Unreachable, "too few replicas"),
        (ResponseError("CLUSTERDOWN Hash slot not served"), Unreachable, "a Cluster that is not whole"),
        (ResponseError("BUSY Redis is busy running a script."), Unreachable, "SCRIPT KILL"),
        (AuthenticationError("Authentication required."), Unreachable, "wants a password"),
        (AuthenticationError("invalid username-password pair or user is disabled."), Unreachable, "check redis_username"),
        (NoPermissionError("this user has no permissions to run the 'xadd' command"), Unreachable, "'xadd'"),
        (TimeoutError("Timeout reading from socket"), Unreachable, "did not answer in time"),
        (ConnectionError("Connection reset by peer"), Unreachable, "did not answer (at claim): Connection reset by peer"),
        (ResponseError("ERR something else"), HoldfastError, "refused claim: ERR something else"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_it_means_for_us(error: Exception, kind: type[Exception], words: str) -> None:
    told = translated(error, "redis://h:6379/0", "claim")
    assert type(told) is kind
    assert words in str(told)
    assert str(told).startswith("Redis at redis://h:6379/0 ")


def test_redirections_of_a_cluster_are_read_with_and_without_their_word() -> None:
    assert redirection(ResponseError("MOVED 866 127.0.0.1:7001")) == (866, "127.0.0.1", 7001)
    assert redirection(ResponseError("ASK 866 :7001")) == (866, "", 7001)
    assert redirection(ResponseError("ERR 866 127.0.0.1:7001")) is None
    assert asks(ResponseError("ASK 866 h:1"))
    assert not asks(ResponseError("MOVED 866 h:1"))


def test_a_pause_grows_with_each_failure_and_ends_with_a_success() -> None:
    clock = FakeClock()
    pause = Pause(clock)
    pause.check()
    for _ in range(20):
        pause.failed("gone")
    clock.advance(LONGEST_PAUSE + 0.001)
    pause.check()
    while True:
        pause.failed("gone again")
        try:
            pause.check()
        except Unreachable as told:
            assert str(told) == "gone again"
            break
    pause.over()
    pause.check()
