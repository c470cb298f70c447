"""Three brokers, the leader's of which is killed while events come in: acks=all, two replicas in sync at least."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.daemon.harness import Daemon
from tests.daemon.kafka_rounds import LABELLED, REQUESTS, Rounds, make_topics, settings, settle_and_check
from tests.kafka.cluster import Cluster
from tests.kafka.feed import Feed
from tests.kafka.topics import Topics
from tests.kafka.traffic import Traffic


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_given_three_brokers_when_leaders_are_killed_then_everything_is_stored_once(
    tmp_path: Path, broker_jars: str, rng: random.Random, make_daemon: Callable[..., Daemon]
) -> None:
    with Cluster(tmp_path / "cluster") as cluster:
        # Given a feed and ingest on a cluster
        topics = make_topics(cluster.bootstrap)
        traffic = Traffic(random.Random(rng.random()), LABELLED, REQUESTS)
        feed = Feed(cluster.bootstrap, traffic, rng, events=8000, per_second=400, transactions=8)
        rounds = Rounds(make_daemon(**settings(cluster.bootstrap)), cluster.nodes[1], rng)
        feed.start()
        try:
            # When three times the node is killed that leads a partition, and ingest while it is away
            for _ in range(3):
                rounds.ready()
                node = cluster.nodes[leader(topics)]
                node.kill()
                time.sleep(rng.uniform(2, 5))
                rounds.run(kills=1, whole=0, stops=0)
                node.start()
            feed.end(120)
            # Then nothing is lost, and nothing counts twice
            ledger = settle_and_check(rounds, feed, topics, tmp_path, 120)
            assert len(ledger.labels) > 6000
        finally:
            feed.stop()
            rounds.close()


def leader(topics: Topics) -> int:
    """The node that leads partition 0 of what is labelled."""
    with closing(topics.admin()) as admin:
        (found,) = admin.describe_topics([LABELLED])
    return next(int(part["leader_id"]) for part in found["partitions"] if part["partition_index"] == 0)
