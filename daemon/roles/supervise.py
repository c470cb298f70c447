"""Keeps the roles running: children of their own, restarted with growing pauses, drained together.

Guarantees:

1. A role that dies is started again; a configuration error (status 2) stops everything with status 2.
2. SIGTERM or SIGINT drains: each child gets SIGTERM, and SIGKILL after ``shutdown.timeout_s``. A second
   signal kills at once.
3. Children die with the supervisor (they ask the kernel for it, ``daemon.roles.process``). However it
   leaves, an exception included, none is left running.
4. A Ctrl-C reaches the supervisor only (each child has a process group of its own), so that it is one
   request to drain and not a signal beside another.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from daemon.durable import write_atomically
from daemon.errors import ConfigError
from daemon.process import SUPERVISOR

log = structlog.get_logger(__name__)

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 30.0
HEALTHY_AFTER_S = 60.0
LOOK_S = 0.05
USAGE = 2


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    start_at: float = 0.0


class Supervisor:
    """``commands``: role -> argument vector; ``state_dir`` gets ``run.json``: the supervisor's pid, and the last of
    each role (``pids``)."""

    def __init__(self, commands: Mapping[str, Sequence[str]], state_dir: Path, timeout_s: float) -> None:
        self._commands = commands
        self._state_dir = state_dir
        self._timeout_s = timeout_s
        self._children = {role: _Child() for role in commands}
        self._signals = 0
        self._told = False

    def run(self) -> int:
        """Until a signal; returns the exit status (0, or 2). Call it in the main thread.

        Raises ConfigError where a role's program cannot be started at all.
        """
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            while not self._signals:
                for role, child in self._children.items():
                    if self._look(role, child) == USAGE:
                        log.error("configuration_refused", role=role)
                        return USAGE
                time.sleep(LOOK_S)
            log.info("draining", timeout_s=self._timeout_s)
            return 0
        finally:
            self._drain()
            self._run_file.unlink(missing_ok=True)
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def _run_file(self) -> Path:
        return self._state_dir / "run.json"

    def _on_signal(self, number: int, frame: object) -> None:
        self._signals += 1

    def _look(self, role: str, child: _Child) -> int | None:
        """Start or restart where it is time; returns a status with which the role has just ended."""
        now = time.monotonic()
        if child.process is None:
            if now >= child.start_at:
                self._start(role, child)
            return None
        status = child.process.poll()
        if status is None:
            return None
        child.failures = 1 if now - child.started > HEALTHY_AFTER_S else child.failures + 1
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (child.failures - 1))
        log.warning("role_ended", role=role, status=status, again_in_s=pause)
        child.process, child.start_at = None, now + pause
        return status

    def _start(self, role: str, child: _Child) -> None:
        command = list(self._commands[role])
        environment = {**os.environ, SUPERVISOR: str(os.getpid())}
        try:
            child.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, process_group=0)
        except (FileNotFoundError, PermissionError) as error:
            raise ConfigError(f"role {role}: {command[0]!r} cannot be started: {error.strerror}") from error
        child.started = time.monotonic()
        try:
            self._tell()
        except OSError as error:  # a full disk must not take down what runs; the first time it is no start
            if not self._told:
                raise
            log.warning("run_file_stale", error=str(error))

    def _tell(self) -> None:
        pids = {name: other.process.pid for name, other in self._children.items() if other.process is not None}
        write_atomically(self._run_file, json.dumps({"supervisor": os.getpid(), "pids": pids}).encode())
        self._told = True

    def _drain(self) -> None:
        running = [child.process for child in self._children.values() if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + self._timeout_s
        while self._signals < 2 and time.monotonic() < deadline and any(p.poll() is None for p in running):
            time.sleep(LOOK_S)
        for process in running:
            if process.poll() is None:
                log.warning("killed", pid=process.pid)
                process.kill()
            process.wait()
