"""An Apache Kafka broker of our own: started, stopped, killed and started again as often as a test wants."""

from __future__ import annotations

import signal
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.kafka import jars
from tests.kafka.ports import free_port
from tests.kafka.properties import CONTROLLER, PLAINTEXT, Listener, server, written

JVM = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Djava.awt.headless=true")
STARTED = b"Kafka Server started"
LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = OUT
appender.out.type = Console
appender.out.name = OUT
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = [%d] %p %m (%c)%n
"""


class Broker:
    """One KRaft node, broker and controller in one JVM, all on 127.0.0.1.

    Data and ports stay the same over ``stop``, ``kill`` and ``start``. It dies with this process, however that
    ends. ``properties`` go over what properties.py says; ``scram`` are StorageTool's ``--add-scram`` values;
    ``node``, ``cluster`` (its id) and ``voters`` (port of each node's controller) are for one of several nodes.
    """

    def __init__(
        self,
        directory: Path,
        *,
        listeners: Sequence[Listener] = (PLAINTEXT,),
        properties: Mapping[str, str] | None = None,
        scram: Sequence[str] = (),
        node: int = 1,
        port: int | None = None,
        cluster: str | None = None,
        voters: Mapping[int, int] | None = None,
    ) -> None:
        self.directory = directory
        self.log = directory / "broker.log"
        self.node = node
        self.cluster_id = cluster or cluster_id()
        self.voters = voters or {node: free_port()}
        self.ports = {listener: free_port() for listener in listeners} | {CONTROLLER: self.voters[node]}
        if port is not None:
            self.ports[PLAINTEXT] = port
        self.properties = {**server(node, str(self._data), self.ports, self.voters), **(properties or {})}
        self.scram = scram
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._from = 0

    @property
    def bootstrap(self) -> str:
        """``host:port`` of the PLAINTEXT listener."""
        return self.address(PLAINTEXT.name)

    def address(self, listener: str) -> str:
        """``host:port`` of a listener, by its name."""
        return next(f"127.0.0.1:{port}" for each, port in self.ports.items() if each.name == listener)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the broker was not started"
        return self._process.pid

    def start(self, timeout_s: float = 60) -> Self:
        """Start it and wait until it answers."""
        self.launch()
        return self.ready(timeout_s)

    def launch(self) -> None:
        """Start it and do not wait: a node of a cluster is ready only when others are there."""
        assert not self.running, "the broker runs already"
        if not (self._data / "meta.properties").exists():
            self._format()
        self._from = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", str(self._config)), stdout=log, stderr=log, start_new_session=True
            )
        # PDEATHSIG would follow the thread that started the broker, which a test may well end before the broker.
        self._watchdog = subprocess.Popen(
            ["sh", "-c", 'read -r _; kill -9 "$0"', str(self._process.pid)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def ready(self, timeout_s: float = 60) -> Self:
        """Wait until it serves. Raises AssertionError with the end of its log where it does not."""
        deadline = time.monotonic() + timeout_s
        while STARTED not in self._said():
            assert self.running, f"the broker ended:\n{self.tail()}"
            assert time.monotonic() < deadline, f"the broker did not serve within {timeout_s} s:\n{self.tail()}"
            time.sleep(0.05)
        return self

    def stop(self, timeout_s: float = 30) -> None:
        """SIGTERM, as an operator would, and wait; one that does not end by then is killed and that is a failure."""
        ended = self._end(signal.SIGTERM, timeout_s)
        assert ended, f"the broker did not stop within {timeout_s} s:\n{self.tail()}"

    def kill(self) -> None:
        """SIGKILL, as a machine that fails: nothing is flushed, closed or handed over."""
        self._end(signal.SIGKILL, 30)

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nobody answers. ``resume`` ends that."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else "(no log)"

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.kill()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def _config(self) -> Path:
        return self.directory / "server.properties"

    def _java(self, *arguments: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self.directory / 'log4j2.properties'}"
        return [jars.java(), *JVM, logging, "-cp", jars.classpath(), *arguments]

    def _format(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._config.write_text(written(self.properties))
        (self.directory / "log4j2.properties").write_text(LOGGING)
        users = [word for user in self.scram for word in ("--add-scram", user)]
        command = self._java("kafka.tools.StorageTool", "format", "-t", self.cluster_id, "-c", str(self._config))
        done = subprocess.run([*command, *users], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, f"the broker's storage could not be formatted:\n{done.stdout}{done.stderr}"

    def _said(self) -> bytes:
        with self.log.open("rb") as log:
            log.seek(self._from)
            return log.read()

    def _end(self, number: signal.Signals, timeout_s: float) -> bool:
        if self._process is None or self._watchdog is None:
            return True
        # The watchdog goes first: it may never signal a pid that is somebody else's by then.
        self._watchdog.kill()
        self._watchdog.communicate()
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(number)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        return True


def cluster_id() -> str:
    """An id for a new cluster, in Kafka's own form: 22 characters, not beginning with a dash."""
    return "k" + urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
