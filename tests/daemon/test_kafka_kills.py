"""Kill -9 of ingest and of its broker under load, the short form; ``make chaos`` has the long one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.daemon.alone import Alone
from tests.daemon.harness import Daemon
from tests.daemon.kafka_rounds import LABELLED, REQUESTS, Rounds, make_topics, settings, settle_and_check
from tests.kafka.broker import Broker
from tests.kafka.feed import Feed
from tests.kafka.ledger import positions
from tests.kafka.traffic import Traffic


@pytest.mark.slow
def test_given_a_feed_when_ingest_and_the_broker_are_killed_then_everything_is_stored_once(
    tmp_path: Path, own_broker: Broker
) -> None:
    # Given a producer of events, repetitions, other labels, late labels, poison and transactions
    draw = random.Random(7)
    topics = make_topics(own_broker.bootstrap)
    traffic = Traffic(draw, LABELLED, REQUESTS)
    feed = Feed(own_broker.bootstrap, traffic, random.Random(8), events=4000, per_second=800, transactions=4)
    rounds = Rounds(Daemon(tmp_path, **settings(own_broker.bootstrap)), own_broker, draw)
    feed.start()
    try:
        # When ingest is killed three times and the broker once
        rounds.run(kills=3, whole=0, stops=1)
        feed.end(60)
        # Then buffer and dead letters are what was produced, each once, and positions are the ends of the topics
        ledger = settle_and_check(rounds, feed, topics, tmp_path, 60)
        assert len(ledger.labels) > 3000
        assert len(ledger.poison) > 50
        assert feed.aborted
    finally:
        feed.stop()
        rounds.close()


@pytest.mark.slow
def test_given_a_standby_when_the_first_is_killed_in_mid_batch_then_it_takes_over_at_the_stored_position(
    tmp_path: Path, own_broker: Broker
) -> None:
    # Given ingest at work under load, and one that waits for its lock
    topics = make_topics(own_broker.bootstrap)
    draw = random.Random(9)
    traffic = Traffic(draw, LABELLED, REQUESTS)
    feed = Feed(own_broker.bootstrap, traffic, draw, events=2000, per_second=1000, transactions=5)
    daemon = Daemon(tmp_path, **settings(own_broker.bootstrap))
    rounds = Rounds(daemon, own_broker, draw)
    first = Alone(daemon, "ingest", name="first")
    try:
        first.wait(lambda: first.get("/readyz")[0] == 200, 30, "ready")
        standby = Alone(daemon, "ingest", "--standby", name="ingest")
        rounds.take(standby)
        standby.wait(lambda: '"standby"' in standby.said(), 30, "waiting")
        feed.start()
        buffer = daemon.state / "buffer.sqlite"
        first.wait(lambda: sum(positions(buffer).values()) > 300, 30, "storing")
        # When the first is killed
        first.kill()
        feed.end(60)
        # Then the standby has gone on, and everything is stored once
        settle_and_check(rounds, feed, topics, tmp_path, 60)
        assert standby.process.returncode == 0
    finally:
        feed.stop()
        first.kill()
        rounds.close()
