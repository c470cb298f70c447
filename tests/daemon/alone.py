"""One role of a daemon in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress

from tests.daemon.harness import Daemon


class Alone:
    """``retaind run --role ROLE`` on a daemon's configuration. ``name``: of its log, where a role runs twice."""

    def __init__(self, daemon: Daemon, role: str, *options: str, name: str | None = None) -> None:
        self.daemon, self.role = daemon, role
        self.log = daemon.directory / f"{name or role + str(len(options))}.txt"
        command = [sys.executable, "-m", "daemon.cli", "run", "--config", str(daemon.config), "--role", role, *options]
        with self.log.open("ab") as log:
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def get(self, path: str) -> tuple[int, str]:
        door = json.loads((self.daemon.state / f"http-{self.role}.json").read_text())
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{door['port']}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def said(self) -> str:
        """Its log so far; that of those of the same name before it too."""
        return self.log.read_text(errors="replace")

    def wait(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Until ``condition`` holds. It may end by then; its door may not be open yet."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with suppress(OSError, ValueError):
                if condition():
                    return
            time.sleep(0.05)
        raise AssertionError(f"not {what} within {timeout_s} s:\n{self.said()[-4000:]}")

    def kill(self) -> None:
        """kill -9; nothing happens where it has ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)
