"""Training diverges, hangs, eats all memory, is killed: the served model stays, and the user is told why."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.faulty import install
from tests.daemon.harness import Daemon, events
from tests.daemon.test_whole import trainer

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

REASONS = {"nan": "non_finite", "hang": "timeout", "memory": "oom"}


def task(kind: str) -> dict[str, Any]:
    return {
        "tune": {"kind": "head"},
        "strategies": [{"name": "fault", "kind": kind}],
        "trigger": {"min_events": 1_000_000},
        "training": {"epochs": 2, "batch_size": 8},
        "update": {
            "max_attempts": 2,
            "retry_s": 0.1,
            "timeout_s": 25 if kind == "hang" else 600,
            "max_memory_bytes": 3 << 30,
        },
    }


@pytest.fixture
def daemon(tmp_path: Path, make_daemon: Callable[..., Daemon], monkeypatch: pytest.MonkeyPatch) -> Daemon:
    monkeypatch.setenv("PYTHONPATH", install(tmp_path / "packages"))
    tasks = {kind: task(kind) for kind in REASONS}
    return make_daemon(tasks=tasks, learn={"snapshot_s": 1}, shutdown={"timeout_s": 15})


def history(daemon: Daemon) -> list[dict[str, Any]]:
    lines = (daemon.state / "registry" / "history.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_training_that_diverges_hangs_or_eats_all_memory_is_told_and_changes_nothing(
    daemon: Daemon, rng: random.Random
) -> None:
    # Given three tasks that answer, each with a fault in its training
    daemon.start().ready()
    for kind in REASONS:
        daemon.produce(events(40, task=kind))
    for kind in REASONS:
        daemon.wait(lambda kind=kind: ask(daemon, kind)["label"] == "card_lost", 60, kind)  # type: ignore[misc]
    served = {kind: ask(daemon, kind)["version"] for kind in REASONS}
    pids = daemon.pids()
    # When all are trained, in any order
    for kind in rng.sample(sorted(REASONS), 3):
        daemon.cli("train-now", "--task", kind)
    # Then each is tried twice and given up, with its reason in the history
    daemon.wait(lambda: len(failures(daemon)) == len(REASONS), 240, "all given up")
    assert {entry["task"]: entry["details"]["reason"] for entry in failures(daemon)} == REASONS
    assert {entry["details"]["attempts"] for entry in failures(daemon)} == {2}
    told = {entry["task"]: entry["why"] for entry in failures(daemon)}
    assert "update.timeout_s: 25 s" in told["hang"]
    assert "update.max_memory_bytes: 3221225472" in told["memory"]
    assert "NonFiniteLoss" in told["nan"]
    # And the same versions answer from the same processes, learn on, and metrics count the failures
    assert daemon.pids() == pids
    for kind in REASONS:
        assert ask(daemon, kind)["version"] == served[kind]
        daemon.produce(events(8, start=40, task=kind))
        daemon.wait(lambda kind=kind: ask(daemon, kind)["labels_seen"] >= 44, 60, "learns on")  # type: ignore[misc]
        assert f'retaind_updates_total{{outcome="failed",task="{kind}"}} 2.0' in daemon.metrics()
    assert daemon.stop() == 0


def test_a_daemon_told_to_stop_in_mid_training_leaves_in_time_and_its_trainer_with_it(
    daemon: Daemon, rng: random.Random
) -> None:
    # Given a training that hangs
    daemon.start().ready()
    daemon.produce(events(40, task="hang"))
    for twice in (False, True):
        daemon.wait(lambda: daemon.get("/v1/status")["tasks"]["hang"]["buffer"]["events"] == 40, 60, "stored")
        daemon.cli("train-now", "--task", "hang")
        daemon.wait(lambda: trainer(daemon) is not None, 60, "a trainer")
        victim = trainer(daemon)
        assert victim is not None
        time.sleep(rng.uniform(0, 4))
        # When the daemon is told to stop, the second time at once
        process = daemon.process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        if twice:
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
        # Then it leaves within shutdown.timeout_s, and nobody is left
        process.wait(timeout=20)
        victim.wait(timeout=10)
        if not twice:
            # And the same job is resumed at the next start
            daemon.start().ready()
            daemon.wait(lambda: trainer(daemon) is not None, 60, "the job resumed")


def ask(daemon: Daemon, kind: str) -> dict[str, Any]:
    return daemon.post("/v1/predict", {"task": kind, "text": "I lost my card"})


def failures(daemon: Daemon) -> list[dict[str, Any]]:
    return [entry for entry in history(daemon) if entry["kind"] == "job_failed"]
