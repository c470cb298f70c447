"""Kill -9 of the whole daemon at random moments under load, again and again. Seeded; the seed is printed."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import orjson
import pytest

from daemon.config.stream import Embedded
from daemon.stream.embedded import EmbeddedSink
from daemon.stream.ports import OutRecord
from tests.daemon.harness import Daemon, events
from tests.daemon.test_whole import SETTINGS

ROUNDS = int(os.environ.get("RETAIND_CHAOS_ROUNDS", "30"))
AT_ONCE, PAUSE_S = 5, 0.5


class Producer(threading.Thread):
    """Writes labelled events into the stream all the time, daemon or no daemon, as `retaind produce` does.

    ``acknowledged``: ids that the stream has said to have; ``failure``: what ended it early.
    """

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(name="producer", daemon=True)
        self.acknowledged: list[str] = []
        self.failure: Exception | None = None
        self._path = daemon.state / "stream.sqlite"
        self._over = threading.Event()

    def run(self) -> None:
        sink = EmbeddedSink(self._path, Embedded())
        try:
            while not self._over.wait(PAUSE_S):
                rows = events(AT_ONCE, start=len(self.acknowledged))
                sink.send([OutRecord("retaind.labelled", orjson.dumps(row), key=row["id"].encode()) for row in rows])
                sink.flush(30.0)
                self.acknowledged += [str(row["id"]) for row in rows]
        except Exception as error:  # noqa: BLE001 - told by the test
            self.failure = error
        finally:
            sink.close()

    def end(self) -> list[str]:
        self._over.set()
        self.join()
        assert self.failure is None, self.failure
        return self.acknowledged


@pytest.mark.chaos
@pytest.mark.timeout(1500)
def test_given_load_when_the_daemon_is_killed_at_random_moments_then_nothing_acknowledged_is_lost(
    tmp_path: Path, rng: random.Random
) -> None:
    daemon = Daemon(tmp_path, **SETTINGS)
    daemon.start().ready()
    # Given events that come in without a pause
    producer = Producer(daemon)
    producer.start()
    try:
        for _ in range(ROUNDS):
            # When the daemon is killed while it answers, or while it is still coming up
            if rng.random() < 0.5:
                daemon.ready()
                until = time.monotonic() + rng.uniform(0, 6)
                while time.monotonic() < until:
                    daemon.predict("I lost my card")
                    time.sleep(0.05)
            else:
                time.sleep(rng.uniform(0, 15))
            daemon.kill()
            daemon.start()
        acknowledged = producer.end()
        daemon.ready()
        daemon.wait(
            lambda: daemon.get("/v1/status")["tasks"]["support"]["buffer"]["events"] == len(acknowledged), 120, "stored"
        )
        # Then the buffer is what was acknowledged, each id once
        assert len(acknowledged) > ROUNDS * AT_ONCE
        assert sorted(event["id"] for event in daemon.export()) == sorted(acknowledged)
        # And the champion is complete (every hash is verified)
        champion = daemon.get("/v1/tasks/support/champion")["version"]
        assert daemon.cli("versions", "show", champion)["id"] == champion
        assert daemon.predict("I lost my card")["label"] == "card_lost"
        # And a rollback survives being killed too: the version before answers, and holds
        daemon.wait(lambda: daemon.get("/v1/tasks/support/champion")["previous"] is not None, 240, "an update")
        daemon.cli("pause", "--why", "nothing moves by itself now")
        before = daemon.cli("rollback", "--why", "test")["champion"]
        daemon.kill()
        daemon.start().ready()
        status = daemon.get("/v1/status")["tasks"]["support"]
        assert (status["champion"], status["held"]) == (before, True)
        assert daemon.predict("I lost my card")["version"] == before
    finally:
        if producer.is_alive():
            producer.end()
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()
