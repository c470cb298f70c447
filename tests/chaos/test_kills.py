"""Kill -9 of the whole daemon at random moments under load, again and again. Seeded; the seed is printed."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from tests.daemon.harness import Daemon, events
from tests.daemon.test_whole import SETTINGS

ROUNDS = int(os.environ.get("RETAIND_CHAOS_ROUNDS", "8"))
SEED = int(os.environ.get("RETAIND_CHAOS_SEED", "20261124"))


@pytest.mark.chaos
@pytest.mark.timeout(1500)
def test_given_load_when_the_daemon_is_killed_at_random_moments_then_nothing_acknowledged_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\nRETAIND_CHAOS_SEED={SEED}, {ROUNDS} rounds")  # noqa: T201
    rng = random.Random(SEED)
    daemon = Daemon(tmp_path, **SETTINGS)
    acknowledged: list[str] = []
    try:
        for _ in range(ROUNDS):
            # Given a daemon that answers
            daemon.start().ready()
            until = time.monotonic() + rng.uniform(0.5, 12)
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
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()
