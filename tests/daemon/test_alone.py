"""A role that runs alone: its door, and a standby that takes over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.daemon.alone import Alone
from tests.daemon.harness import Daemon


def test_given_ingest_alone_when_asked_then_it_tells_that_it_is_ready_and_counts(tmp_path: Path) -> None:
    # Given ingest alone, with a free port
    daemon = Daemon(tmp_path, http={"port": 0, "role_ports": {"ingest": 0}})
    ingest = Alone(daemon, "ingest")
    try:
        daemon.wait(lambda: ingest.get("/readyz")[0] == 200, 60, "a ready ingest")
        # Then its door answers for it, with its metrics, and with nothing else
        assert ingest.get("/livez")[0] == 200
        status, text = ingest.get("/metrics")
        assert status == 200
        assert 'retaind_events_total{outcome="stored",task="support"} 0.0' in text
        assert ingest.get("/v1/status")[0] == 404
        # And a second one is refused by name
        second = Alone(daemon, "ingest", "--set", "http.role_ports.ingest=0")
        assert second.process.wait(timeout=60) == 1
        assert str(ingest.process.pid) in second.log.read_text()
    finally:
        assert ingest.end() == 0


def test_given_a_standby_on_the_same_port_when_the_first_leaves_then_it_works_and_opens_its_door(
    tmp_path: Path,
) -> None:
    # Given ingest, and a standby that is to have the same port
    daemon = Daemon(tmp_path, http={"port": 0, "role_ports": {"ingest": 0}})
    first = Alone(daemon, "ingest")
    daemon.wait(lambda: first.get("/readyz")[0] == 200, 60, "a ready ingest")
    port = json.loads((daemon.state / "http-ingest.json").read_text())["port"]
    standby = Alone(daemon, "ingest", "--standby", "--set", f"http.role_ports.ingest={port}")
    try:
        daemon.wait(lambda: "door_later" in standby.log.read_text(), 60, "a waiting standby")
        # When the first leaves
        assert first.end() == 0
        # Then the standby is ready at the same door
        daemon.wait(lambda: standby.get("/readyz")[0] == 200, 60, "the standby's door")
    finally:
        assert standby.end() == 0


def test_given_a_port_that_is_taken_when_a_role_starts_then_it_names_the_key_and_exits_with_2(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, http={"port": 0, "role_ports": {"ingest": 0}})
    first = Alone(daemon, "ingest")
    try:
        daemon.wait(lambda: first.get("/readyz")[0] == 200, 60, "a ready ingest")
        port = json.loads((daemon.state / "http-ingest.json").read_text())["port"]
        learn = Alone(daemon, "learn", "--set", f"http.role_ports.learn={port}")
        assert learn.process.wait(timeout=60) == 2
        assert "http.role_ports.learn" in learn.log.read_text()
    finally:
        assert first.end() == 0


@pytest.mark.slow
def test_given_learn_alone_when_its_model_is_loaded_then_it_is_ready(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, http={"port": 0, "role_ports": {"ingest": 0, "learn": 0}})
    learn = Alone(daemon, "learn")
    # Given no buffer yet, Then it is live and not ready
    daemon.wait(lambda: learn.get("/livez")[0] == 200, 60, "a live learner")
    assert learn.get("/readyz")[0] == 503
    # When ingest has made it, Then it is ready
    ingest = Alone(daemon, "ingest")
    try:
        daemon.wait(lambda: learn.get("/readyz")[0] == 200, 120, "a ready learner")
    finally:
        assert ingest.end() == 0
        assert learn.end() == 0
