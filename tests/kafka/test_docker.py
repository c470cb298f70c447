"""The broker from Apache's image; no Docker engine is needed for this much of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.kafka import docker, jars
from tests.kafka.docker import Container
from tests.kafka.image import started_with


@pytest.mark.usefixtures("broker_jars")
def test_the_image_makes_a_sound_broker_of_our_properties(tmp_path: Path) -> None:
    # Given the command that starts the container
    container = Container()
    command = container.command()
    environment = dict(command[i + 1].split("=", 1) for i, word in enumerate(command) if word == "--env")
    # When the image's own program reads its variables
    properties = started_with(environment, tmp_path)
    # Then the listener is where the port is published and what clients are told
    port = container.bootstrap.rpartition(":")[2]
    assert command[command.index("--publish") + 1] == f"127.0.0.1:{port}:{port}"
    assert f"PLAINTEXT://0.0.0.0:{port}" in properties["listeners"].split(",")
    assert properties["advertised.listeners"] == f"PLAINTEXT://{container.bootstrap}"
    assert properties["auto.create.topics.enable"] == "false"


def test_the_image_is_of_the_version_of_the_jars() -> None:
    version = re.search(r"<artifactId>kafka_2.13</artifactId>\s*<version>(.+)</version>", jars.POM.read_text())
    assert version is not None
    assert f"apache/kafka:{version[1]}" == docker.IMAGE


@pytest.mark.parametrize(("answer", "expected"), [(0, True), (1, False)])
def test_an_engine_that_does_not_answer_is_none(
    answer: int, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "docker"
    program.write_text(f"#!/bin/sh\nexit {answer}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert docker.runs() is expected
