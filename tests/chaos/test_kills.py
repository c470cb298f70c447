"""Kill -9 of the whole daemon at random moments under load, again and again. Seeded; the seed is printed."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from tests.daemon.harness import Daemon, events
from tests.daemon.test_whole import SETTINGS

ROUNDS = int(os.environ.get("RETAIND_CHAOS_ROUNDS", "30"))


@pytest.mark.chaos
@pytest.mark.timeout(1500)
def test_given_load_when_the_daemon_is_killed_at_random_moments_then_nothing_acknowledged_is_lost(
    tmp_path: Path, rng: random.Random
) -> None:
    daemon = Daemon(tmp_path, **SETTINGS)
    acknowledged: list[str] = []
    try:
        for _ in range(ROUNDS):
            # Given a daemon that answers, or not yet
            daemon.start()
            if rng.random() < 0.3:
                time.sleep(rng.uniform(0, 4))
                daemon.kill()
                daemon.start()
            daemon.ready()
            until = time.monotonic() + rng.uniform(0, 5)
            while time.monotonic() < until:
                rows = events(20, start=len(acknowledged))
                daemon.produce(rows)
                acknowledged += [str(row["id"]) for row in rows]
                daemon.predict("I lost my card")
                time.sleep(rng.uniform(0, 0.3))
            # When it is killed in mid-work
            daemon.kill()
        daemon.start().ready()
        stored = "support"
        daemon.wait(
            lambda: daemon.get("/v1/status")["tasks"][stored]["buffer"]["events"] == len(acknowledged), 120, "stored"
        )
        # Then the buffer is what was acknowledged, each id once
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
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()
