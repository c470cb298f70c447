"""Devices, cores, memory, the port."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from daemon.doctor import resources
from tests.doctor.patients import only, patient


def test_a_device_that_is_not_there_is_named_with_its_key(tmp_path: Path) -> None:
    number = torch.cuda.device_count()
    finding = only("device", patient(tmp_path, f"learn.device=cuda:{number}"))
    assert finding.status == "fail"
    assert finding.says == f"learn.device = 'cuda:{number}', but {number} CUDA devices are there"
    assert "auto, cpu" in finding.mend
    assert only("device", patient(tmp_path)).status == "ok"


def test_more_threads_than_cores_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "available_cores", lambda: 2.0)
    many = only("threads", patient(tmp_path, "predict.threads=3"))
    assert (many.status, many.says) == ("warn", "predict 3 + learn 1 + training 1 threads on 2 cores")
    assert "lower predict.threads" in many.mend
    assert only("threads", patient(tmp_path)).status == "ok"


def test_a_quota_of_the_control_group_counts_as_cores(tmp_path: Path) -> None:
    limit = tmp_path / "cpu.max"
    limit.write_text("50000 100000\n")
    assert resources.available_cores(limit) == 0.5
    limit.write_text("max 100000\n")
    assert resources.available_cores(limit) == len(os.sched_getaffinity(0))
    assert resources.available_cores(tmp_path / "none") == len(os.sched_getaffinity(0))


def test_a_limit_beyond_the_memory_is_told(tmp_path: Path) -> None:
    big = only("memory", patient(tmp_path, f"tasks.support.update.max_memory_bytes={1 << 50}"))
    assert big.status == "warn"
    assert "lower update.max_memory_bytes" in big.mend
    small = only("memory", patient(tmp_path, f"tasks.support.update.max_memory_bytes={1 << 28}"))
    assert small.status == "ok"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that something listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_is_free_taken_or_our_own(tmp_path: Path, taken: int) -> None:
    # Given a port that another program listens on
    of = patient(tmp_path, f"http.port={taken}")
    finding = only("port", of)
    assert finding.status == "fail"
    assert finding.says == f"127.0.0.1:{taken} cannot be listened on: Address already in use"
    assert "set http.port" in finding.mend
    # When our door is what listens
    (tmp_path / "http.json").write_text(json.dumps({"host": "127.0.0.1", "port": taken, "pid": os.getpid()}))
    assert only("port", of).says == f"127.0.0.1:{taken} is held by our daemon (process {os.getpid()})"
    # And where our daemon's process is gone, it is another's again
    (tmp_path / "http.json").write_text(json.dumps({"host": "127.0.0.1", "port": taken, "pid": 2**22 + 1}))
    assert only("port", of).status == "fail"


def test_a_free_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
    assert only("port", patient(tmp_path, f"http.port={number}")).says == f"127.0.0.1:{number} is free"
    assert only("port", patient(tmp_path)).says == "http.port is 0: a free one is taken"
