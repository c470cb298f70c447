"""deploy/compose.yaml: against the Compose Specification, and against what it mounts, starts and configures."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from daemon.config.load import load
from daemon.config.models import Config
from tests.kafka.docker import IMAGE
from tests.kafka.image import started_with

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
SERVICES: Mapping[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
SECRET = re.compile(r"\$\{(\w+):\?[^}]+\}")
SCHEMA = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]


def fits(document: Mapping[str, Any], file: Path) -> subprocess.CompletedProcess[str]:
    file.write_text(yaml.safe_dump(document))
    return subprocess.run([*SCHEMA, str(file)], capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="module")
def properties(broker_jars: str, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """server.properties as the image makes it of the service's variables."""
    return started_with(SERVICES["kafka"]["environment"], tmp_path_factory.mktemp("image"))


@pytest.fixture
def config() -> Config:
    """What retaind is configured to there: the image's own variables, then the service's."""
    image = re.findall(r"\b(RETAIND_\w+)=(\S+)", (DEPLOY / "Dockerfile").read_text())
    given = {key: SECRET.sub("secret", value) for key, value in SERVICES["retaind"]["environment"].items()}
    return load(ROOT / "config.yaml", [], {**dict(image), **given}).config


def test_it_fits_the_specification(tmp_path: Path) -> None:
    done = fits(yaml.safe_load(COMPOSE.read_text()), tmp_path / "compose.yaml")
    assert done.returncode == 0, done.stdout


def test_a_typo_does_not_fit(tmp_path: Path) -> None:
    document = yaml.safe_load(COMPOSE.read_text())
    document["services"]["kafka"]["helthcheck"] = document["services"]["kafka"].pop("healthcheck")
    assert fits(document, tmp_path / "compose.yaml").returncode == 1


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_pinned_checked_restarted_and_no_root(name: str) -> None:
    service = SERVICES[name]
    assert "build" in service or re.fullmatch(r"[\w/.-]+:v?\d+\.\d+\.\d+", service["image"])
    assert {"test", "interval", "timeout", "retries", "start_period"} == set(service["healthcheck"])
    assert service["restart"] == "unless-stopped"
    assert service["user"].partition(":")[0] not in ("", "0", "root")
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_each_service_waits_until_the_one_before_it_is_healthy() -> None:
    waits = {name: service.get("depends_on", {}) for name, service in SERVICES.items()}
    healthy = {"condition": "service_healthy"}
    assert waits == {
        "kafka": {},
        "retaind": {"kafka": healthy},
        "prometheus": {"retaind": healthy},
        "grafana": {"prometheus": healthy},
    }


def test_all_that_is_mounted_is_there_and_all_that_is_kept_is_declared() -> None:
    declared = yaml.safe_load(COMPOSE.read_text())["volumes"]
    kept = set()
    for service in SERVICES.values():
        for mount in service["volumes"]:
            source, target, *mode = mount.split(":")
            assert target.startswith("/")
            if source.startswith("."):
                assert (DEPLOY / source).exists(), mount
                assert mode == ["ro"], mount
            else:
                kept.add(source)
    assert kept == set(declared)
    build = SERVICES["retaind"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).samefile(DEPLOY / "Dockerfile")


def test_secrets_are_asked_for_and_never_written_down() -> None:
    asked = {match[1] for match in SECRET.finditer(COMPOSE.read_text())}
    assert asked == {"RETAIND_HTTP_TOKEN", "GRAFANA_PASSWORD"}
    assert "/deploy/.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_retaind_reads_from_the_listener_that_kafka_has_for_it(config: Config, properties: Mapping[str, str]) -> None:
    inside = dict(each.split("://") for each in properties["advertised.listeners"].split(","))["INSIDE"]
    assert (config.stream.kind, config.stream.kafka.bootstrap_servers) == ("kafka", [inside])
    assert config.stream.kafka.create_topics, "nobody else makes its topics: the broker does not"
    assert properties["auto.create.topics.enable"] == "false"


def test_kafka_keeps_its_data_on_the_volume_and_tells_this_machine_where_it_is(properties: Mapping[str, str]) -> None:
    service = SERVICES["kafka"]
    assert service["image"] == IMAGE
    assert f"kafka:{service['environment']['KAFKA_LOG_DIRS']}" in service["volumes"]
    outside = dict(each.split("://") for each in properties["advertised.listeners"].split(","))["OUTSIDE"]
    port = outside.removeprefix("localhost:")
    assert service["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"OUTSIDE://:{port}" in properties["listeners"].split(",")


def test_retaind_keeps_its_state_on_the_volume_and_has_time_to_stop(config: Config) -> None:
    service = SERVICES["retaind"]
    assert f"state:{config.state_dir}" in service["volumes"]
    assert int(service["stop_grace_period"].removesuffix("s")) > config.shutdown.timeout_s
    assert f"127.0.0.1:{config.http.port}:{config.http.port}" in service["ports"]
    assert f":{config.http.port}/readyz" in service["healthcheck"]["test"][-1]
    # as the image has it, where compose is not used
    assert service["healthcheck"]["test"][-1] in (DEPLOY / "Dockerfile").read_text()
    assert f"USER {service['user']}" in (DEPLOY / "Dockerfile").read_text()


def test_prometheus_scrapes_retaind(config: Config) -> None:
    (job,) = yaml.safe_load((DEPLOY / "prometheus" / "compose.yaml").read_text())["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"retaind:{config.http.port}"]}]
    assert "metrics_path" not in job  # /metrics is Prometheus' own default
