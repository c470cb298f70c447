"""The check of the stream: embedded, or the brokers are asked (tests/stream/kafka/test_diagnose.py has them all)."""

from __future__ import annotations

from pathlib import Path

from daemon.config.kafka import SaslScram512
from daemon.doctor.finding import Patient
from daemon.testing import FakeClock
from tests.doctor.patients import only, patient
from tests.kafka.ports import free_port
from tests.kafka.secure import USER, SecureBroker
from tests.stream.kafka.secured import WRONG, kafka, password


def test_the_embedded_stream_says_that_it_is_embedded(tmp_path: Path) -> None:
    finding = only("stream", patient(tmp_path))
    assert (finding.status, finding.mend) == ("ok", "")
    assert "embedded" in finding.says


def test_brokers_that_are_not_there_are_a_failure(tmp_path: Path) -> None:
    port = free_port()
    sets = ("stream.kind=kafka", f"stream.kafka.bootstrap_servers=[127.0.0.1:{port}]")
    finding = only("stream", patient(tmp_path, *sets))
    assert finding.status == "fail"
    assert finding.says.startswith(f"127.0.0.1:{port}: connection refused")


def test_a_broker_that_refuses_is_told_without_the_password(secure_broker: SecureBroker, tmp_path: Path) -> None:
    config = patient(tmp_path).config
    cfg = kafka(secure_broker, "SASL_SSL", password(SaslScram512, WRONG))
    stream = config.stream.model_copy(update={"kind": "kafka", "kafka": cfg})
    finding = only("stream", Patient(config.model_copy(update={"stream": stream}), {}, FakeClock(2e9)))
    assert (finding.status, WRONG in repr(finding)) == ("fail", False)
    assert f"wrong user name or password for '{USER}'" in finding.says
