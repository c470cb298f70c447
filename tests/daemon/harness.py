"""A real daemon in processes of its own, as a person would run it, for the tests of the whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

TOPICS: Mapping[str, tuple[str, ...]] = {
    "card_lost": ("I lost my card {}", "my card is gone since {}", "cannot find the debit card {}"),
    "refund": ("please refund order {}", "I want my money back for {}", "when is the refund of {} paid"),
    "delivery": ("the parcel {} never arrived", "where is my delivery {}", "courier lost the package {}"),
    "password": ("I forgot the password for {}", "cannot log in to {}", "reset the login of {}"),
}


def events(n: int, *, start: int = 0, task: str = "support") -> list[dict[str, Any]]:
    """``n`` labelled events over four classes, each with an id and a text of its own."""
    made = []
    for i in range(start, start + n):
        label = list(TOPICS)[i % len(TOPICS)]
        texts = TOPICS[label]
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_760_000_000 + i))
        text = texts[i // len(TOPICS) % len(texts)].format(f"number {i}")
        made.append({"id": f"e{i}", "task": task, "time": moment, "text": text, "label": label})
    return made


class Daemon:
    """``retaind run`` on a state directory; ``kill`` and ``start`` as often as the test wants."""

    def __init__(self, directory: Path, **settings: object) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.config = directory / "config.yaml"
        self.log = directory / "log.txt"
        base: dict[str, Any] = {
            "state_dir": str(self.state),
            "tasks": {"support": {"type": "sequence"}},
            "http": {"port": 0},
        }
        self.config.write_text(json.dumps({**base, **settings}))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Daemon:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "daemon.cli", "run", "--config", str(self.config)],
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )
        return self

    def ready(self, timeout_s: float = 120) -> Daemon:
        self.wait(lambda: self.get("/readyz").get("ready") is True, timeout_s, "ready")
        return self

    def wait(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                if condition():
                    return
            except (urllib.error.URLError, OSError, KeyError, ValueError):
                pass
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"the daemon ended with {self.process.returncode}:\n{self.tail()}")
            time.sleep(0.05)
        raise AssertionError(f"not {what} within {timeout_s} s:\n{self.tail()}")

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def pids(self) -> dict[str, int]:
        return {str(k): int(v) for k, v in json.loads((self.state / "run.json").read_text())["pids"].items()}

    def url(self, path: str) -> str:
        door = json.loads((self.state / "http.json").read_text())
        return f"http://127.0.0.1:{door['port']}{path}"

    def get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(self.url(path), timeout=10) as response:
            answer: dict[str, Any] = json.load(response)
            return answer

    def metrics(self) -> str:
        with urllib.request.urlopen(self.url("/metrics"), timeout=10) as response:
            return str(response.read(), "utf-8")

    def post(self, path: str, body: object) -> dict[str, Any]:
        data = json.dumps(body).encode()
        request = urllib.request.Request(
            self.url(path), data, headers={"content-type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            answer: dict[str, Any] = json.load(response)
            return answer

    def predict(self, text: str) -> dict[str, Any]:
        return self.post("/v1/predict", {"task": "support", "text": text})

    def produce(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self.post("/v1/events", list(rows))

    def kill(self) -> None:
        """kill -9 of the supervisor; its roles die with it."""
        assert self.process is not None
        roles = self.pids() if (self.state / "run.json").exists() else {}
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        deadline = time.monotonic() + 10
        while any(_alive(pid) for pid in roles.values()):
            assert time.monotonic() < deadline, "roles outlived their supervisor"
            time.sleep(0.02)

    def stop(self) -> int:
        """SIGTERM: drain and leave."""
        if self.process is None or self.process.poll() is not None:
            return self.process.returncode if self.process else 0
        self.process.terminate()
        return self.process.wait(timeout=60)

    def export(self) -> list[dict[str, Any]]:
        """What `retaind buffer export` writes: the verifier's own look at the buffer."""
        command = [sys.executable, "-m", "daemon.cli", "buffer", "export", "--config", str(self.config)]
        done = subprocess.run(command, capture_output=True, check=True, timeout=120)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def cli(self, *args: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "daemon.cli", *args, "--config", str(self.config), "--json"],
            capture_output=True,
            check=True,
            timeout=300,
        )
        return json.loads(done.stdout)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
