"""The broker is gone for two minutes while people ask for predictions: memory is bounded, and all goes on after it."""

from __future__ import annotations

import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.daemon.harness import Daemon, events
from tests.daemon.kafka_rounds import LABELLED, make_topics, settings
from tests.daemon.test_kafka import keyed
from tests.kafka.broker import Broker

AWAY_S, MEASURED_S, CLIENTS = 120.0, 60.0, 8
MIB = 1 << 20


class Asking(threading.Thread):
    """Asks for predictions with ids, which are to be appended to the stream, until told to end."""

    def __init__(self, daemon: Daemon, number: int) -> None:
        super().__init__(name=f"asking-{number}", daemon=True)
        self.statuses: Counter[int | str] = Counter()
        self.slowest_s = 0.0
        self._daemon, self._number = daemon, number
        self._over = threading.Event()

    def run(self) -> None:
        count = 0
        while not self._over.is_set():
            body = {"task": "support", "id": f"h{self._number}-{count}", "text": f"I lost my card {count} " * 20}
            began = time.monotonic()
            try:
                self._daemon.post("/v1/predict", body)
                self.statuses[200] += 1
            except urllib.error.HTTPError as error:
                self.statuses[error.code] += 1
            except OSError as error:
                self.statuses[type(error).__name__] += 1
            count += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)

    def end(self) -> None:
        self._over.set()
        self.join()


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_given_a_broker_that_is_gone_when_predictions_are_asked_for_then_memory_is_bounded_and_all_goes_on(
    tmp_path: Path, own_broker: Broker, make_daemon: Callable[..., Daemon], capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a daemon that has learnt
    topics = make_topics(own_broker.bootstrap)
    daemon = make_daemon(**settings(own_broker.bootstrap), shutdown={"timeout_s": 30}).start().ready()
    values, keys = keyed(events(80))
    topics.produce(LABELLED, values, keys=keys)
    daemon.wait(lambda: daemon.predict("I lost my card")["label"] == "card_lost", 60, "learnt")
    process = psutil.Process(daemon.pids()["predict"])
    # When the broker goes, and people ask on
    own_broker.kill()
    gone = time.monotonic()
    asking = [Asking(daemon, number) for number in range(CLIENTS)]
    for thread in asking:
        thread.start()
    time.sleep(10)
    before = process.memory_info().rss
    time.sleep(MEASURED_S)
    grown = process.memory_info().rss - before
    for thread in asking:
        thread.end()
    statuses = sum((thread.statuses for thread in asking), Counter[int | str]())
    slowest_s = max(thread.slowest_s for thread in asking)
    # Then memory does not grow; what cannot be appended is refused, in time; what has no id is answered
    with capsys.disabled():
        grew = f"{grown / MIB:.1f} MiB in {MEASURED_S:g} s"
        print(f"\npredict grew by {grew}; {dict(statuses)}; slowest {slowest_s:.1f} s")  # noqa: T201
    assert grown < 50 * MIB
    assert statuses.keys() == {503}
    assert daemon.predict("I lost my card")["label"] == "card_lost"
    assert "stream_unavailable" in daemon.get("/v1/status")["ingest"]["troubles"]
    # When it is back after two minutes, Then everything goes on by itself
    time.sleep(max(0.0, AWAY_S - (time.monotonic() - gone)))
    own_broker.start()
    values, keys = keyed(events(40, start=80))
    topics.produce(LABELLED, values, keys=keys)
    daemon.wait(lambda: daemon.get("/v1/buffer")["last_seq"]["support"] >= 120, 60, "stored")
    answer = daemon.post("/v1/predict", {"task": "support", "id": "back", "text": "I lost my card"})
    assert answer["label"] == "card_lost"
    assert any(b'"id":"back"' in (stored.value or b"") for stored in topics.read("predictions"))
    # When it goes again and the daemon is told to end, Then it does, in time
    own_broker.kill()
    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < 32
    assert '"killed"' not in daemon.log.read_text()
