"""Which of two events about a job's state is the newer one, however they arrive.

Events of one job travel by several roads: the journal of the node that accepted it, the journals of those that ran it, and
the moves of Redis itself.  Each road keeps its order, nothing orders the roads, so every move of a job's state gets a
*rank*, and history shows the highest.  Tokens of Redis are its time in microseconds and grow with every claim: they say
which lease is the later one, and within a lease the stage decides.  What has no such token (a wish, the life of a job
that a node holds for itself) is ranked by its time; among a node's own events their order in its journal decides.
"""

from __future__ import annotations

from engine.storage.lanes import REMOTE_TOKENS

#: stages of a lease, in their order: claimed; running; given back by Redis; ended by who held it; ended by Redis for good
CLAIMED, STARTED, GIVEN_BACK, ENDED, SETTLED = range(5)
#: of what has no token of Redis: moves of Redis, and a node's own
BY_REDIS, BY_NODE = 6, 7
_STAGES = 8
#: times beyond the year 5000 are nonsense, and no number that a database holds
_MOST = 1e11


def leased(token: int, stage: int) -> int:
    """The rank of a stage of a lease of Redis."""
    return token * _STAGES + stage


def timed(at: float, direct: bool) -> int:
    """The rank of what has no token of Redis."""
    return (int(at * 1e6) if 0.0 < at < _MOST else 0) * _STAGES + (BY_REDIS if direct else BY_NODE)


def of_lease(token: int, at: float, stage: int, direct: bool) -> int:
    """The rank of an event that has a token."""
    if token >= REMOTE_TOKENS:
        return token * _STAGES + stage
    return (int(at * 1e6) if 0.0 < at < _MOST else 0) * _STAGES + (BY_REDIS if direct else BY_NODE)


def is_older(rank: int, than: int) -> bool:
    """Whether the one is out of date where the other is known; a node's own events are not, beside one another."""
    return rank < than and rank & than & BY_NODE != BY_NODE


def token_of(rank: int) -> int:
    """The lease of Redis that a rank is about, 0 for none."""
    token = rank // _STAGES
    return token if rank % _STAGES <= SETTLED and token >= REMOTE_TOKENS else 0


def is_contested(rank: int, token: int) -> bool:
    """Whether Redis is known to have taken the lease back."""
    return rank == token * _STAGES + GIVEN_BACK and token >= REMOTE_TOKENS
