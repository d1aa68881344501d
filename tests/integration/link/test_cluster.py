"""A node on a Cluster: queues on several servers, of which one may go away."""

from __future__ import annotations

from pathlib import Path

from engine.kernel.job import JobState
from engine.storage.base import Want
from tests.support.nodes import Node, node
from tests.support.redis_hosts import RedisCluster, RedisHost
from tests.support.waiting import until

QUEUES = ("a", "b", "c", "d", "e", "f")


def work_off(node: Node) -> int:
    """Complete all that can be claimed; how many."""
    done = 0
    while (claim := node.store.claim(Want(dict.fromkeys(QUEUES, 100), "agent", 100))) is not None:
        node.complete(claim)
        done += len(claim.jobs)
    return done


def other_than_the_fleets(cluster: RedisCluster, node: Node) -> RedisHost:
    """A server with a queue of the node that has not what the fleet shares."""
    client = node.store.client
    groups = client.tags_by_node([f"{{hf:main:{queue}}}:" for queue in QUEUES] + ["{hf:main}:"])
    tag = next(group[0] for group in groups if "{hf:main}:" not in group)
    return next(host for host in cluster.hosts if not _moved(host, tag))


def _moved(host: RedisHost, tag: str) -> bool:
    try:
        host.cli("EXISTS", tag)
    except Exception as error:
        return "MOVED" in str(error) or "moved" in str(error).lower()
    return False


def test_queues_on_several_servers_make_one_fleet(tmp_path: Path, redis_cluster: RedisCluster) -> None:
    redis_cluster.flush()
    with node(tmp_path / "here", redis_cluster.url) as here, node(tmp_path / "there", redis_cluster.url) as there:
        ids = [here.put(queue=queue) for queue in QUEUES for _ in range(3)]
        assert until(lambda: work_off(there), 10) + work_off(there) == len(ids)
        until(lambda: here.states(ids) == {JobState.COMPLETED}, 10)
        here.store.force("test")
        more = [here.put(queue=queue) for queue in QUEUES]
        here.store.release("test")
        here.level()
        until(lambda: work_off(there) or here.states(more) == {JobState.COMPLETED}, 10)


def test_one_server_that_goes_away_is_the_link_that_goes_away(tmp_path: Path, redis_cluster: RedisCluster) -> None:
    redis_cluster.flush()
    with node(tmp_path / "here", redis_cluster.url) as here:
        ids = [here.put(queue=queue) for queue in QUEUES]
        host = other_than_the_fleets(redis_cluster, here)
        host.freeze()
        try:
            here.is_("airgapped", 6)
            ids += [here.put(queue=queue) for queue in QUEUES]
            assert work_off(here) == len(QUEUES), "its own jobs run here, whatever their queue"
        finally:
            host.thaw()
        here.level()
        work_off(here)
        until(lambda: here.states(ids) == {JobState.COMPLETED}, 10)
