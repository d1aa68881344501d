"""A node on a Cluster: queues on several servers, of which one may go away."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.storage.base import Want
from tests.support.nodes import PATIENCE, Node, node
from tests.support.redis_hosts import RedisCluster, RedisHost
from tests.support.waiting import until

QUEUES = ("a", "b", "c", "d", "e", "f")


def work_off(node: Node) -> list[str]:
    """Complete all that can be claimed; their ids."""
    done: list[str] = []
    while (claim := node.store.claim(Want(dict.fromkeys(QUEUES, 100), "agent", 100))) is not None:
        node.complete(claim)
        done += [job.id for job in claim.jobs]
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


@pytest.mark.usefixtures("steady")
def test_queues_on_several_servers_make_one_fleet(tmp_path: Path, redis_cluster: RedisCluster) -> None:
    redis_cluster.flush()
    with node(tmp_path / "here", redis_cluster.url) as here, node(tmp_path / "there", redis_cluster.url) as there:
        here.joined()
        there.joined()
        ids = [here.put(queue=queue) for queue in QUEUES for _ in range(3)]
        done: list[str] = []
        until(lambda: (done.extend(work_off(there)), here.completed(ids))[1], PATIENCE, "all are completed")
        assert sorted(done) == sorted(ids), "each by the other, and once"
        here.store.force("test")
        more = [here.put(queue=queue) for queue in QUEUES]
        here.store.release("test")
        here.level()
        until(lambda: (done.extend(work_off(there)), here.completed(more))[1], PATIENCE, "all are completed")
        assert sorted(done) == sorted(ids + more)


def test_one_server_that_goes_away_is_the_link_that_goes_away(tmp_path: Path, redis_cluster: RedisCluster) -> None:
    redis_cluster.flush()
    with node(tmp_path / "here", redis_cluster.url) as here:
        here.joined()
        ids = [here.put(queue=queue) for queue in QUEUES]
        host = other_than_the_fleets(redis_cluster, here)
        host.freeze()
        try:
            here.is_("airgapped")
            ids += [here.put(queue=queue) for queue in QUEUES]
            assert len(work_off(here)) == len(QUEUES), "its own jobs run here, whatever their queue"
        finally:
            host.thaw()
            redis_cluster.mend()
        here.level()
        until(lambda: (work_off(here), here.completed(ids))[1], PATIENCE, "all are completed")
