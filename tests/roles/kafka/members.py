"""Predict processes that share a topic: they join, leave, are killed, while requests come in."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from kafka import KafkaProducer

from tests.kafka.broker import Broker
from tests.kafka.topics import Stored, Topics
from tests.roles.kafka.predict_process import STARTED

PARTITIONS = 4


def settings(bootstrap: str, **kafka: Any) -> dict[str, Any]:
    """``stream`` of a predict process."""
    base = {
        "bootstrap_servers": bootstrap.split(","),
        "group_id": "g",
        "session_timeout_s": 3,
        "request_timeout_s": 5,
        "transaction_timeout_s": 5,
    }
    return {
        "kind": "kafka",
        "inputs": [{"topic": "requests", "predict": True}],
        "outputs": {"predictions": "predictions"},
        "kafka": {**base, **kafka},
    }


class Members:
    """``processes`` by name; each logs to ``NAME.txt``."""

    def __init__(self, directory: Path, stream: Mapping[str, Any]) -> None:
        self._directory, self._stream = directory, stream
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, **kafka: Any) -> None:
        stream = {**self._stream, "kafka": {**self._stream["kafka"], **kafka}}
        command = [sys.executable, "-m", "tests.roles.kafka.predict_process", json.dumps(stream)]
        with (self._directory / f"{name}.txt").open("ab") as log:
            self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        assert process.poll() is None, f"{name} has ended by itself:\n{self.said(name)[-3000:]}"
        process.kill()
        process.wait()

    def stop(self, name: str) -> None:
        """SIGTERM: it drains and leaves the group."""
        process = self.processes.pop(name)
        deadline = time.monotonic() + 30
        while STARTED not in self.said(name):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert (status := process.wait(timeout=30)) == 0, f"{name} ended with {status}:\n{self.said(name)[-3000:]}"

    def said(self, name: str) -> str:
        return (self._directory / f"{name}.txt").read_text(errors="replace")

    def churn(self, draw: random.Random, rounds: int, broker: Broker | None = None, stops: int = 0) -> None:
        """``rounds`` times one is killed or stopped and another one joins; ``stops`` times the broker is killed."""
        hits = set(draw.sample(range(rounds), stops))
        for number in range(rounds):
            time.sleep(draw.uniform(0.5, 2.5))
            (self.kill if draw.random() < 0.7 else self.stop)(draw.choice(sorted(self.processes)))
            if number in hits and broker is not None:
                if not broker.running:
                    broker.launch()
                broker.ready()
                broker.kill()
                broker.launch()
            time.sleep(draw.uniform(0.0, 1.0))
            self.start(f"m{number}")
        if broker is not None:
            broker.ready()

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


class Requests(threading.Thread):
    """Sends ``count`` requests with acks=all, each id once in the topic: the producer is idempotent, and what it
    retries inside is one record."""

    def __init__(self, bootstrap: str, count: int, per_second: float) -> None:
        super().__init__(name="requests", daemon=True)
        self._to, self._count, self._per_second = bootstrap, count, per_second
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            with closing(KafkaProducer(bootstrap_servers=self._to, acks="all", linger_ms=5)) as producer:
                sent = []
                for number in range(self._count):
                    fields = {"id": f"r{number}", "time": "2026-01-01T00:00:00Z", "text": f"text {number}"}
                    sent.append(producer.send("requests", json.dumps(fields).encode(), key=b"%d" % number))
                    if number % 20 == 0:
                        time.sleep(20 / self._per_second)
                for future in sent:
                    future.get(60)
        except BaseException as error:  # noqa: BLE001 - told by end()
            self.failure = error

    def end(self, timeout_s: float) -> None:
        self.join(timeout_s)
        assert not self.is_alive()
        assert self.failure is None, self.failure


def answers(topics: Topics) -> tuple[Counter[str], Counter[str]]:
    """What a read_committed consumer sees: answers by request id, and by prediction id."""
    bodies = [json.loads(stored.value or b"") for stored in topics.read("predictions")]
    assert all(body["label"] == f"text {body['id'][1:]}" for body in bodies)
    return Counter(body["id"] for body in bodies), Counter(body["prediction_id"] for body in bodies)


def asked(topics: Topics) -> set[str]:
    """The ids in the requests topic, each of which must stand there once."""
    found: list[Stored] = topics.read("requests")
    ids = [json.loads(stored.value or b"")["id"] for stored in found]
    assert len(set(ids)) == len(ids)
    return set(ids)


def wait_until_answered(topics: Topics, wanted: set[str], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while (missing := wanted - answers(topics)[0].keys()) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not missing, f"{len(missing)} of {len(wanted)} requests have no answer, such as {sorted(missing)[:5]}"
