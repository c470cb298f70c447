"""The manifests: against the schemas of Kubernetes, and against our own configuration."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from daemon.config.load import load
from daemon.config.models import Config

DIRECTORY = Path(__file__).parents[2] / "deploy" / "kubernetes"
KUBERNETES = "1.33"
ROLES = ("ingest", "predict", "learn")
UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def documents() -> list[dict[str, Any]]:
    """Every manifest that kustomization.yaml names."""
    named = yaml.safe_load((DIRECTORY / "kustomization.yaml").read_text())["resources"]
    return [document for name in named for document in yaml.safe_load_all((DIRECTORY / name).read_text())]


def validate(document: Mapping[str, Any]) -> None:
    kubernetes_validate.validate(document, KUBERNETES, strict=True)


def of(kind: str) -> Sequence[dict[str, Any]]:
    return [document for document in documents() if document["kind"] == kind]


def pod() -> dict[str, Any]:
    (only,) = of("StatefulSet")
    spec: dict[str, Any] = only["spec"]["template"]["spec"]
    return spec


def containers() -> dict[str, dict[str, Any]]:
    return {container["name"]: container for container in pod()["containers"]}


def size(text: str) -> int:
    return int(text[:-2]) * UNITS[text[-2:]]


@pytest.fixture
def config() -> Config:
    return load(DIRECTORY / "config.yaml", [], {"RETAIND_HTTP_TOKEN": "secret"}).config


@pytest.mark.parametrize("document", documents(), ids=lambda document: f"{document['kind']}-{document['metadata']}")
def test_each_manifest_fits_the_schema(document: dict[str, Any]) -> None:
    validate(document)


def test_a_manifest_with_a_typo_does_not_fit() -> None:
    (service, *_) = of("Service")
    service["spec"]["selektor"] = service["spec"].pop("selector")
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(service)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_renders_what_fits_too() -> None:
    command = ["kubectl", "kustomize", str(DIRECTORY)]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    made = list(yaml.safe_load_all(rendered))
    assert sorted(document["kind"] for document in made) == sorted(
        ["ConfigMap", *(document["kind"] for document in documents())]
    )
    for document in made:
        validate(document)


def test_one_pod_has_a_container_for_each_role_on_one_volume() -> None:
    (statefulset,) = of("StatefulSet")
    assert statefulset["spec"]["replicas"] == 1
    assert {name: c["args"] for name, c in containers().items()} == {r: ["run", "--role", r] for r in ROLES}
    (claim,) = statefulset["spec"]["volumeClaimTemplates"]
    state = claim["metadata"]["name"]
    for container in containers().values():
        assert {"name": state, "mountPath": "/var/lib/retaind"} in container["volumeMounts"]


def test_every_container_is_probed_at_its_own_door(config: Config) -> None:
    named = {"ingest": 8091, "predict": config.http.port, "learn": 8092}
    for name, container in containers().items():
        (port,) = container["ports"]
        assert port["containerPort"] == named[name]
        for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
            assert container[probe]["httpGet"] == {"path": path, "port": port["name"]}
    named_ports = {port["name"] for container in containers().values() for port in container["ports"]}
    for service in of("Service"):
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named_ports


def test_every_container_is_locked_down() -> None:
    context = pod()["securityContext"]
    assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 10001)
    for container in containers().values():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_bounds_agree_with_the_configuration(config: Config) -> None:
    (statefulset,) = of("StatefulSet")
    task = config.tasks["support"]
    assert str(config.state_dir) == "/var/lib/retaind"
    assert pod()["terminationGracePeriodSeconds"] > config.shutdown.timeout_s
    # the learner and its trainer are in one container
    limit = size(containers()["learn"]["resources"]["limits"]["memory"])
    assert task.update.max_memory_bytes + (2 << 30) <= limit
    # what may grow is less than the volume
    volume = size(statefulset["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"])
    topics = len(config.stream.inputs) + len(config.stream.outputs.model_dump())
    assert config.buffer.max_bytes + topics * config.stream.embedded.retention_bytes < volume / 2
