"""The broker from Apache's image, where there is no Java but a Docker engine that answers."""

from __future__ import annotations

import shutil
import subprocess
import time
import uuid
from types import TracebackType
from typing import Self

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from tests.kafka.ports import free_port
from tests.kafka.properties import CONTROLLER, PLAINTEXT, server

IMAGE = "apache/kafka:4.1.0"
INSIDE = {PLAINTEXT: 0, CONTROLLER: 9093}


def runs() -> bool:
    """Whether a Docker engine answers."""
    if shutil.which("docker") is None:
        return False
    asked = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=30)
    return asked.returncode == 0


class Container:
    """One broker for the whole run; unlike ``Broker`` it is never killed by a test."""

    def __init__(self) -> None:
        self.name = f"retaind-test-{uuid.uuid4().hex[:8]}"
        self._port = free_port()

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._port}"

    def command(self) -> list[str]:
        """``docker run``: the image takes a property ``a.b`` as the variable ``KAFKA_A_B``."""
        ports = {**INSIDE, PLAINTEXT: self._port}
        properties = server(1, "/tmp/kafka-data", ports, {1: INSIDE[CONTROLLER]}, host="0.0.0.0")
        made = ["docker", "run", "--rm", "--detach", "--name", self.name]
        made += ["--publish", f"127.0.0.1:{self._port}:{self._port}"]
        for key, value in properties.items():
            made += ["--env", f"KAFKA_{key.replace('.', '_').upper()}={value}"]
        return [*made, "--env", "KAFKA_HEAP_OPTS=-Xmx512m", IMAGE]

    def ready(self, timeout_s: float = 180) -> Self:
        """Wait until it answers. Raises AssertionError with the end of its log where it does not."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                KafkaAdminClient(bootstrap_servers=self.bootstrap, bootstrap_timeout_ms=2000).close()
                return self
            except (KafkaError, OSError):
                assert time.monotonic() < deadline, f"no broker within {timeout_s} s:\n{self._logs()}"
                time.sleep(0.5)

    def __enter__(self) -> Self:
        done = subprocess.run(self.command(), capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, f"docker run failed: {done.stderr}"
        try:
            return self.ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        subprocess.run(["docker", "rm", "--force", self.name], capture_output=True, check=False, timeout=60)

    def _logs(self) -> str:
        said = subprocess.run(["docker", "logs", self.name], capture_output=True, text=True, check=False, timeout=60)
        return (said.stdout + said.stderr)[-3000:]
