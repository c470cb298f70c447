"""Kill -9 of the daemon 20 times and of its broker 5 times while 100,000 events come in. Seeded; the seed is printed.

16 kills are of the ingest role running by itself (it starts within a second), 4 of a whole ``retaind run`` with its
children. ``RETAIND_CHAOS_EVENTS`` makes it shorter or longer.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.daemon.harness import Daemon
from tests.daemon.kafka_rounds import LABELLED, REQUESTS, Rounds, make_topics, settings, settle_and_check
from tests.kafka.broker import Broker
from tests.kafka.feed import Feed
from tests.kafka.traffic import Traffic

EVENTS = int(os.environ.get("RETAIND_CHAOS_EVENTS", "100000"))


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_given_a_feed_when_daemon_and_broker_are_killed_at_random_moments_then_everything_is_stored_once(
    tmp_path: Path, own_broker: Broker, rng: random.Random, make_daemon: Callable[..., Daemon]
) -> None:
    # Given a producer of events, repetitions, other labels, late labels, poison and transactions
    topics = make_topics(own_broker.bootstrap)
    feed = Feed(
        own_broker.bootstrap,
        Traffic(random.Random(rng.random()), LABELLED, REQUESTS),
        random.Random(rng.random()),
        events=EVENTS,
        per_second=2000,
        at_once=200,
        transactions=8,
    )
    rounds = Rounds(make_daemon(**settings(own_broker.bootstrap)), own_broker, rng)
    feed.start()
    try:
        # When the daemon is killed twenty times and the broker five times
        rounds.run(kills=16, whole=4, stops=5)
        feed.end(180)
        # Then buffer and dead letters are what was produced, each once, and positions are the ends of the topics
        ledger = settle_and_check(rounds, feed, topics, tmp_path, 180)
        assert len(ledger.labels) > EVENTS * 0.9
        # And what was aborted stands in the topic and was not learned
        aborted = {message.value for message in feed.aborted} - ledger.values.keys()
        there = {record.value for record in topics.read(LABELLED, committed=False)}
        assert aborted & there
    finally:
        feed.stop()
        rounds.close()
