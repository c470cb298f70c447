"""A server in a process of its own: started, waited for, its CPU seconds read, ended."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from daemon.bench.client import ask
from daemon.bench.model import TASK
from daemon.errors import RetaindError

START_S = 120.0
STOP_S = 30.0


class Server:
    """A context: inside, it listens on ``port`` of loopback. ``role``: the process whose CPU counts."""

    def __init__(
        self, command: list[str], place: Callable[[], tuple[int, int]], probe: str, environment: Mapping[str, str]
    ) -> None:
        """``place``: (port, pid) once they are known, OSError, KeyError or ValueError before; ``probe``: a path that
        answers 200 once requests do."""
        self._command, self._place, self._probe, self._environment = command, place, probe, environment
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process: subprocess.Popen[bytes] | None = None
        self.port, self.pid = 0, 0

    def __enter__(self) -> Server:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **self._environment}
        command = [sys.executable, "-m", *self._command]
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
        """Of the serving process so far, all threads, user and system."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and process.poll() is None:
            try:
                self.port, self.pid = self._place()
                if ask(self.port, self._probe)[0] == 200:
                    return
            except (OSError, KeyError, ValueError):
                pass
            time.sleep(0.05)
        self._log.seek(0)
        said = self._log.read().decode(errors="replace")[-2000:]
        raise RetaindError(f"{' '.join(self._command[:2])} does not answer {self._probe} after {START_S:g} s: {said}")

    def _end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()


def daemon(directory: Path, **task: Any) -> Server:
    """``retaind run`` on ``directory/state``: all roles, of which predict's CPU counts. ``task``: its options."""
    state, file = directory / "state", directory / "config.json"
    config = {"state_dir": str(state), "tasks": {TASK: task}, "http": {"port": 0}, "predict": {"device": "cpu"}}
    file.write_text(json.dumps(config))

    def place() -> tuple[int, int]:
        door, run = (json.loads((state / name).read_text()) for name in ("http.json", "run.json"))
        return int(door["port"]), int(run["pids"]["predict"])

    return Server(["daemon.cli", "run", "--config", str(file)], place, "/readyz", {})


def fastapi_peer(model: Path) -> Server:
    """:mod:`daemon.bench.fastapi_peer` on a free port. Raises RetaindError where FastAPI is not installed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    server: Server

    def place() -> tuple[int, int]:
        assert server._process is not None
        return port, server._process.pid

    server = Server(["daemon.bench.fastapi_peer", str(model), str(port)], place, "/livez", {})
    return server
