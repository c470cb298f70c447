"""The whole daemon in processes of its own: labels, update, verdict, swap; and kill -9 of each part."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.daemon.harness import Daemon, events

SETTINGS: dict[str, Any] = {
    "tasks": {
        "support": {
            "type": "sequence",
            "tune": {"kind": "last_layers", "layers": 1},
            "trigger": {"min_events": 100, "first_ratio": 1, "cooldown_s": 0},
            "training": {"epochs": 1},
            "gate": {"insufficient": "promote"},
        }
    },
    "learn": {"snapshot_s": 1},
}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path, **SETTINGS)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()


def champion(daemon: Daemon) -> str:
    return str(daemon.get("/v1/tasks/support/champion")["version"])


@pytest.mark.slow
def test_given_labels_when_they_stream_in_then_answers_follow_and_an_update_swaps_by_itself(daemon: Daemon) -> None:
    # Given a daemon that has learnt nothing
    daemon.start().ready()
    assert daemon.predict("I lost my card")["reason"] == "no_labels_yet"

    # When the first labels come
    daemon.produce(events(60))

    # Then a moment later they are in the answer, before any training
    daemon.wait(lambda: daemon.predict("I lost my card")["label"] == "card_lost", 30, "the first labels answered")
    base = champion(daemon)

    # And the metrics of all processes say so
    scraped = daemon.metrics()
    assert 'retaind_events_total{outcome="stored",task="support"} 60.0' in scraped
    assert 'retaind_buffer_events{task="support"} 60.0' in scraped
    assert 'retaind_consumer_lag_records{partition="0",topic="retaind.labelled"} 0.0' in scraped
    assert f'retaind_champion_info{{task="support",version="{champion(daemon)}"}} 1.0' in scraped

    # When enough of them have come, then an update, a verdict and a swap follow by themselves
    daemon.produce(events(200, start=60))
    daemon.wait(lambda: champion(daemon) != base, 120, "a promotion")
    daemon.wait(lambda: daemon.predict("I lost my card")["version"] == champion(daemon), 30, "the swap")
    assert daemon.predict("please refund order 7")["label"] == "refund"

    # When it is rolled back, then the version before answers again, and holds
    daemon.cli("rollback", "--why", "test")
    daemon.wait(lambda: daemon.predict("I lost my card")["version"] == base, 30, "the rollback")
    assert daemon.get("/v1/status")["tasks"]["support"]["held"] is True
    assert daemon.stop() == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_given_a_daemon_under_load_when_parts_are_killed_then_nothing_acknowledged_is_lost(daemon: Daemon) -> None:
    # Given a daemon under load
    rng = random.Random(20261124)
    daemon.start().ready()
    acknowledged: list[str] = []

    def load(n: int) -> None:
        for _ in range(n):
            rows = events(20, start=len(acknowledged))
            daemon.produce(rows)
            acknowledged.extend(str(row["id"]) for row in rows)

    load(8)

    # When each role and the trainer are killed at random moments
    for role in ("ingest", "learn", "predict"):
        time.sleep(rng.random() * 0.5)
        before = daemon.pids()[role]
        os.kill(before, signal.SIGKILL)
        daemon.wait(lambda role=role, before=before: daemon.pids()[role] != before, 60, f"a new {role}")  # type: ignore[misc]
        daemon.ready()
        load(2)
    daemon.cli("train-now")
    daemon.wait(lambda: trainer(daemon) is not None, 60, "a trainer")
    victim = trainer(daemon)
    assert victim is not None
    victim.kill()
    load(2)

    # And the supervisor too, three times
    for _ in range(3):
        time.sleep(rng.random())
        daemon.kill()
        daemon.start().ready()
        load(1)

    # Then everything acknowledged is in the buffer, each id once
    def stored() -> int:
        return int(daemon.get("/v1/status")["tasks"]["support"]["buffer"]["events"])

    daemon.wait(lambda: stored() == len(acknowledged), 60, "everything stored")
    exported = [event["id"] for event in daemon.export()]
    assert sorted(exported) == sorted(acknowledged)

    # And the champion is complete, and after a restart the served model answers as before
    daemon.cli("pause", "--why", "compare answers over a restart")
    daemon.wait(lambda: settled(daemon), 180, "settled")
    time.sleep(2)  # a job that was being written when the pause came
    daemon.wait(lambda: settled(daemon), 180, "settled")
    texts = ["I lost my card number 3", "please refund order number 9", "where is my delivery", "cannot log in"]
    before_restart = [daemon.predict(text) for text in texts]
    shown = daemon.cli("versions", "show", before_restart[0]["version"])
    assert {"labels.json", "tokenizer/tokenizer.json"} <= set(shown["files"])
    daemon.kill()
    daemon.start().ready()
    daemon.wait(lambda: daemon.predict(texts[0])["labels_seen"] == before_restart[0]["labels_seen"], 60, "caught up")
    for text, expected in zip(texts, before_restart, strict=True):
        answer = daemon.predict(text)
        assert (answer["label"], answer["version"]) == (expected["label"], expected["version"])
        for label, score in expected["scores"].items():
            assert abs(answer["scores"][label] - score) < 1e-5
    assert daemon.stop() == 0


def trainer(daemon: Daemon) -> psutil.Process | None:
    for process in psutil.Process(daemon.pids()["learn"]).children(recursive=True):
        if "training" in " ".join(process.cmdline()) or "daemon.update.child" in " ".join(process.cmdline()):
            return process
    return None


def settled(daemon: Daemon) -> bool:
    """Every job has its outcome, and predictors have seen every change."""
    status = daemon.get("/v1/status")["tasks"]["support"]
    answer = daemon.predict("I lost my card")
    return bool(
        all((job / "done.json").exists() for job in (daemon.state / "jobs").iterdir())
        and answer["version"] == status["champion"]
        and answer["labels_seen"] == status["buffer"]["last_seq"]
        and status["buffer"]["labelled"]["train"] > 0
    )
