"""The cluster that the failover round stands on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.kafka.cluster import Cluster
from tests.kafka.topics import Topics

VALUES = [str(i).encode() for i in range(50)]


@pytest.fixture
def cluster(broker_jars: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("cluster")
    with Cluster(directory) as cluster:
        yield cluster
    shutil.rmtree(directory)


@pytest.mark.chaos
def test_a_leader_that_is_killed_loses_nothing(cluster: Cluster) -> None:
    # Given a topic on all three nodes
    topics = Topics(cluster.bootstrap)
    topics.create("events")
    topics.produce("events", VALUES)
    with closing(topics.admin()) as admin:
        (described,) = admin.describe_topics(["events"])
        (partition,) = described["partitions"]
    assert sorted(partition["isr_nodes"]) == [1, 2, 3]
    # When its leader is killed
    cluster.nodes[partition["leader_id"]].kill()
    # Then records are still taken, and none is lost
    topics.produce("events", VALUES)
    assert [record.value for record in topics.read("events")] == VALUES * 2
    # And when that node is back, so is it once another one goes
    cluster.start()
    next(broker for node, broker in cluster.nodes.items() if node != partition["leader_id"]).kill()
    topics.produce("events", VALUES)
    assert [record.value for record in topics.read("events")] == VALUES * 3
