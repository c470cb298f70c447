"""What Apache's image does at its start, by the program that it runs itself, which is among the broker's jars."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.kafka import jars

PROGRAM = "kafka.docker.KafkaDockerWrapper"
CLUSTER_ID = "kImageImageImageImageI"


def started_with(environment: Mapping[str, str], directory: Path) -> dict[str, str]:
    """server.properties that the image makes of its variables; the storage is formatted by them in ``directory``.

    Raises AssertionError with Kafka's own words where the properties are not sound.
    """
    folders = {name: directory / name for name in ("default", "mounted", "final")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    (folders["default"] / "server.properties").touch()
    command = [jars.java(), "-cp", jars.classpath(), PROGRAM, "setup"]
    command += [word for name, folder in folders.items() for word in (f"--{name}-configs-dir", str(folder))]
    settings = {**environment, "CLUSTER_ID": CLUSTER_ID, "KAFKA_LOG_DIRS": str(directory / "data")}
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (directory / "data" / "meta.properties").exists()
    lines = (folders["final"] / "server.properties").read_text().split()
    return dict(line.split("=", 1) for line in lines)
