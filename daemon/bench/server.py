"""A server in a process of its own: started, waited for, its CPU seconds read, ended."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from daemon.bench.client import ask
from daemon.bench.model import TASK
from daemon.errors import RetaindError

START_S = 180.0
STOP_S = 30.0


class Server:
    """A context: inside, it listens on ``port`` of loopback and answers ``probe`` with 200."""

    def __init__(self, command: Sequence[str], port: Callable[[], int], probe: str) -> None:
        """``command``: after ``python -m``; ``port``: raises OSError, KeyError or ValueError until it is known."""
        self._command, self._find, self._probe = command, port, probe
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> Server:
        command = [sys.executable, "-m", *self._command]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, env=environment
        )
        try:
            self._wait(self._process)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def cpu_seconds(self) -> float:
        """Of the process so far, all threads, user and system."""
        assert self._process is not None
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and process.poll() is None:
            try:
                self.port = self._find()
                if ask(self.port, self._probe)[0] == 200:
                    return
            except (OSError, KeyError, ValueError):
                pass
            time.sleep(0.05)
        self._log.seek(0)
        said = self._log.read().decode(errors="replace")[-2000:]
        raise RetaindError(f"{' '.join(self._command[:2])} does not answer {self._probe}: {said}")

    def _end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()


def predictor(directory: Path, *, precision: str = "fp32", **task: Any) -> Server:
    """The predict role of ``retaind run`` on ``directory/state``, a process as its supervisor would start it.
    ``task``: options of the task."""
    state, file = directory / "state", directory / "config.json"
    predict = {"device": "cpu", "precision": precision}
    config = {"state_dir": str(state), "tasks": {TASK: task}, "http": {"port": 0}, "predict": predict}
    file.write_text(json.dumps(config))

    def port() -> int:
        return int(json.loads((state / "http.json").read_text())["port"])

    return Server(["daemon.cli", "run", "--role", "predict", "--config", str(file)], port, "/readyz")


def fastapi_peer(model: Path) -> Server:
    """:mod:`daemon.bench.fastapi_peer` on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    return Server(["daemon.bench.fastapi_peer", str(model), str(port)], lambda: port, "/livez")
