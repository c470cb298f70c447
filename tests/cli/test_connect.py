"""What is wrong with Kafka as a person meets it: ``check-config --connect`` and ``status``."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.run import document, retaind
from tests.kafka.secure import USER, SecureBroker

SECRET = "not-the-password"


@pytest.fixture
def wrong(secure_broker: SecureBroker, tmp_path: Path) -> Path:
    """A directory with a configuration that is valid, and whose password is wrong."""
    return written(tmp_path, secure_broker, "SASL_SSL", sasl={"kind": "scram-sha-512", "username": USER})


def written(directory: Path, broker: SecureBroker, listener: str, **kafka: object) -> Path:
    spoken = next(each.protocol for each in broker.ports if each.name == listener)
    common = {"bootstrap_servers": [broker.address(listener)], "security_protocol": spoken, "request_timeout_s": 1}
    config = {
        "state_dir": "./state",
        "tasks": {"support": {}},
        "http": {"port": 0},
        "stream": {"kind": "kafka", "kafka": {**common, "ssl": {"ca_file": str(broker.certificates.ca)}, **kafka}},
    }
    (directory / "config.yaml").write_text(json.dumps(config))
    return directory


def test_check_config_asks_nobody_unless_it_is_told_to(wrong: Path) -> None:
    environ = {"RETAIND_KAFKA_PASSWORD": SECRET}
    # Given a password that is wrong, When the configuration is checked, Then it is valid
    assert retaind("check-config", cwd=wrong, environ=environ).returncode == 0
    # When the brokers are asked too, Then the cause and the mend are there, and the status is 1
    asked = retaind("check-config", "--connect", cwd=wrong, environ=environ)
    assert asked.returncode == 1
    assert f"SASL SCRAM-SHA-512: wrong user name or password for '{USER}'" in asked.stdout
    assert "mend: correct stream.kafka.sasl.username, or the password" in asked.stdout
    assert SECRET not in asked.stdout + asked.stderr
    # And as a document
    (finding,) = document(retaind("check-config", "--connect", "--json", cwd=wrong, environ=environ))["connect"]
    assert finding["status"] == "fail"


@pytest.fixture
def ingest(secure_broker: SecureBroker, tmp_path: Path) -> Iterator[Path]:
    """The ingest role, running, before a broker whose certificate has expired; its directory."""
    directory = written(tmp_path, secure_broker, "EXPIRED")
    command = [sys.executable, "-m", "daemon.cli", "run", "--role", "ingest"]
    with (directory / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
    yield directory
    process.terminate()
    process.wait(30)


def test_a_running_daemon_says_in_log_and_status_why_it_is_not_let_in(ingest: Path) -> None:
    cause, deadline = "TLS: certificate has expired (", time.monotonic() + 30
    while cause not in (status := retaind("status", cwd=ingest).stdout) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert cause in status
    assert "renew the broker's certificate" in status
    assert cause in (ingest / "log.txt").read_text()
