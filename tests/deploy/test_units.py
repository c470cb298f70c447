"""The systemd unit and Prometheus's configuration."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from daemon.config.load import load

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "systemd" / "retaind.service"
PORTS = {"8090", "8091", "8092"}


def settings() -> dict[str, list[str]]:
    """key -> its values, whatever their section."""
    found = defaultdict(list)
    for line in UNIT.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[key].append(value)
    return found


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_nothing_wrong_and_would_find_something(tmp_path: Path) -> None:
    def verify(text: str) -> str:
        unit = tmp_path / "retaind.service"
        unit.write_text(text.replace("/opt/retaind/bin/retaind run", f"{sys.executable} run"))
        command = ["systemd-analyze", "verify", "--man=no", str(unit)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        return "\n".join(line for line in done.stderr.splitlines() if unit.name in line)

    assert verify(UNIT.read_text()) == ""
    assert "KilSignal" in verify(UNIT.read_text().replace("KillSignal", "KilSignal"))


def test_systemd_waits_longer_than_the_daemon_drains() -> None:
    unit, shutdown = settings(), load(None, ["tasks.support={}"], {}).config.shutdown
    assert unit["KillSignal"] == ["SIGTERM"]
    assert unit["KillMode"] == ["mixed"]
    assert float(unit["TimeoutStopSec"][0]) > shutdown.timeout_s
    assert unit["RestartPreventExitStatus"] == ["2"]
    assert unit["Type"] == ["exec"]


def test_the_unit_is_not_run_by_root_and_may_write_to_its_state_only() -> None:
    unit = settings()
    assert (unit["User"], unit["StateDirectory"], unit["ProtectSystem"]) == (["retaind"], ["retaind"], ["strict"])
    assert unit["NoNewPrivileges"] == ["yes"]
    assert unit["CapabilityBoundingSet"] == [""]
    assert "RETAIND_STATE_DIR=/var/lib/retaind" in unit["Environment"][0].split()


def test_prometheus_scrapes_the_doors_there_are() -> None:
    jobs: list[dict[str, Any]] = yaml.safe_load((DEPLOY / "prometheus" / "scrape.yaml").read_text())["scrape_configs"]
    config = load(DEPLOY.parent / "config.yaml", [], {}).config
    alone, pods = jobs
    assert {job["metrics_path"] for job in jobs} == {"/metrics"}
    assert alone["static_configs"] == [{"targets": [f"127.0.0.1:{config.http.port}"]}]
    (ports,) = (rule["regex"] for rule in pods["relabel_configs"] if "port_number" in rule["source_labels"][0])
    assert set(ports.split("|")) == PORTS
