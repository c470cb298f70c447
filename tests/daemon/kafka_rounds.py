"""Kills of the daemon and hard stops of its broker at random moments, while a feed goes on."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from daemon.sqlite import read_only
from tests.daemon.alone import Alone
from tests.daemon.harness import Daemon
from tests.kafka.broker import Broker
from tests.kafka.feed import Feed
from tests.kafka.ledger import Ledger, positions
from tests.kafka.topics import Topics
from tests.kafka.traffic import Message

LABELLED, REQUESTS, LETTERS = "labelled", "requests", "dead_letters"
PARTITIONS: Mapping[str, int] = {LABELLED: 3, REQUESTS: 2, LETTERS: 1, "predictions": 1, "versions": 1}


def settings(bootstrap: str, **kafka: Any) -> dict[str, Any]:
    """A daemon on those topics."""
    return {
        "stream": {
            "kind": "kafka",
            "inputs": [{"topic": LABELLED}, {"topic": REQUESTS, "predict": True}],
            "outputs": {name: name for name in (LETTERS, "predictions", "versions")},
            "kafka": {
                "bootstrap_servers": bootstrap.split(","),
                "session_timeout_s": 6,
                "request_timeout_s": 5,
                **kafka,
            },
        },
        "tasks": {"support": {"type": "sequence", "trigger": {"min_events": 10_000_000}}},
        "http": {"port": 0, "role_ports": {"ingest": 0}},
    }


def make_topics(bootstrap: str) -> Topics:
    topics = Topics(bootstrap)
    for name, partitions in PARTITIONS.items():
        topics.create(name, partitions)
    return topics


class Rounds:
    """``kills`` of the ingest role by itself, ``whole`` of a whole daemon, ``stops`` of the broker, in random order.

    Which kind of process the next one is follows from who is killed next.
    """

    def __init__(self, daemon: Daemon, broker: Broker, draw: random.Random) -> None:
        self.daemon, self.broker, self.draw = daemon, broker, draw
        self._alone: Alone | None = None
        self.done: list[str] = []

    def run(self, *, kills: int, whole: int, stops: int) -> None:
        faults = ["kill"] * kills + ["whole"] * whole + ["broker"] * stops
        self.draw.shuffle(faults)
        for fault in faults:
            {"kill": self._kill, "whole": self._kill_whole, "broker": self._stop_broker}[fault]()
            self.done.append(fault)
        if stops:
            self.broker.ready()

    def ready(self, timeout_s: float = 60) -> None:
        """Ingest by itself, that reads."""
        self._ensure()
        assert self._alone is not None
        ingest = self._alone
        ingest.wait(lambda: ingest.get("/readyz")[0] == 200, timeout_s, "ready")

    def take(self, ingest: Alone) -> None:
        """``ingest`` is the one from now on."""
        self._alone = ingest

    def settle(self, done: Callable[[], bool], timeout_s: float) -> None:
        """A last ingest role until ``done``; then SIGTERM, which it leaves with status 0."""
        self._ensure()
        assert self._alone is not None
        deadline = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < deadline, f"not settled within {timeout_s} s:\n{self._alone.said()[-3000:]}"
            assert self._alone.process.poll() is None, f"ingest has ended by itself:\n{self._alone.said()[-3000:]}"
            time.sleep(0.2)
        assert self._alone.end() == 0, self._alone.said()[-3000:]

    def close(self) -> None:
        if self._alone is not None:
            self._alone.kill()

    def said(self) -> str:
        """All that the processes have logged."""
        logs = [self.daemon.log, self.daemon.directory / "ingest.txt"]
        return "".join(log.read_text(errors="replace") for log in logs if log.exists())

    def _ensure(self) -> None:
        if self._alone is None or self._alone.process.poll() is not None:
            self._alone = Alone(self.daemon, "ingest", name="ingest")

    def _kill(self) -> None:
        self._ensure()
        time.sleep(self.draw.uniform(0.2, 3.0))  # about a second of it is the start
        assert self._alone is not None
        assert self._alone.process.poll() is None, f"ingest has ended by itself:\n{self._alone.said()[-3000:]}"
        self._alone.kill()

    def _kill_whole(self) -> None:
        self.close()
        self.daemon.start()
        time.sleep(self.draw.uniform(1.0, 7.0))
        assert self.daemon.process is not None
        assert self.daemon.process.poll() is None, f"the daemon has ended by itself:\n{self.daemon.tail()}"
        self.daemon.kill()

    def _stop_broker(self) -> None:
        """SIGKILL, and started again at once; what comes next does not wait for it."""
        self._ensure()
        time.sleep(self.draw.uniform(0.2, 2.0))
        if not self.broker.running:
            self.broker.launch()
        self.broker.ready()
        self.broker.kill()
        self.broker.launch()


def end_markers(topics: Topics) -> list[Message]:
    """One more event to each partition, so that its end is a record and no marker of a transaction."""
    made = []
    for topic in (LABELLED, REQUESTS):
        for partition in range(PARTITIONS[topic]):
            value = b'{"id": "last-%s-%d", "task": "support", "time": "2026-01-01T00:00:00Z", "text": "last"}' % (
                topic.encode(),
                partition,
            )
            topics.produce(topic, [value], partition=partition)
            made.append(Message(topic, None, value))
    return made


def settle_and_check(rounds: Rounds, feed: Feed, topics: Topics, directory: Path, timeout_s: float) -> Ledger:
    """Wait until ingest has caught up, and hold everything that it left against the topics."""
    last = end_markers(topics)
    ledger = Ledger(topics, [LABELLED, REQUESTS])
    ledger.check_acknowledged([*feed.acknowledged, *last])
    ends = {(topic, n): end for topic in (LABELLED, REQUESTS) for n, (_, end) in topics.bounds(topic).items()}
    buffer = directory / "state" / "buffer.sqlite"
    rounds.settle(
        lambda: (
            positions(buffer) == ends
            and sum(end for _, end in topics.bounds(LETTERS).values()) >= len(ledger.poison)
            and not waiting(buffer)
        ),
        timeout_s,
    )
    ledger.check_positions(positions(buffer))
    ledger.check_export(rounds.daemon.export())
    ledger.check_letters(topics.read(LETTERS))
    assert "records_lost" not in rounds.said()
    assert "position_beyond_end" not in rounds.said()
    return ledger


def waiting(buffer: Path) -> int:
    """Dead letters in the outbox, by SQL."""
    connection = read_only(buffer)
    try:
        return len(connection.execute("SELECT number FROM outbox").fetchall())
    finally:
        connection.close()
