"""The check of the stream: embedded, or the brokers are asked (tests/stream/kafka/test_diagnose.py has them all)."""

from __future__ import annotations

from pathlib import Path

from tests.doctor.patients import only, patient
from tests.kafka.ports import free_port


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
