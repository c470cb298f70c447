"""The real daemon, as a person would run it: ``retaind run`` on a directory of its own, spoken to over HTTP."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from daemon.demo.simulator import TASK, Case
from daemon.errors import RetaindError

SETTINGS: Mapping[str, Any] = {
    "tune": {"kind": "last_layers", "layers": 2},
    "training": {"learning_rate": 0.0005, "epochs": 2, "batch_size": 16},
    "trigger": {"min_events": 200, "first_ratio": 1, "calm_ratio": 0, "cooldown_s": 2},
    "split": {"validation_ratio": 0.08, "holdout_ratio": 0.15, "min_train_rows": 5},
    "gate": {
        "min_rows": 40,
        "margin": 0.02,
        "gain_confidence": 0.5,
        "aside_ratio": 0.0,
    },
}
"""Small, cheap updates: what would be hundreds of events and minutes is told in seconds."""

_PROGRAM = """\
from daemon.process import die_with_parent
die_with_parent({parent})
from daemon.cli import main
main()
"""
_LOOK_S = 0.05
_STOP_S = 20.0


class OutOfTime(RetaindError):
    """What was waited for did not come before the demo's deadline."""


class Host:
    """A context manager: starts the daemon, and stops it however the body ends.

    ``deadline``: of :func:`time.monotonic`; ``port`` 0: a free one; ``sets``: further ``KEY=VALUE`` of the
    configuration. Counts the requests and those that failed.
    """

    def __init__(self, directory: Path, deadline: float, *, port: int = 0, sets: Sequence[str] = ()) -> None:
        self.state = directory / "state"
        self.requests = 0
        self.failed = 0
        self._deadline = deadline
        self._log = directory / "log.txt"
        config = directory / "config.yaml"
        document = {"state_dir": str(self.state), "http": {"port": port}, "tasks": {TASK: SETTINGS}}
        config.write_text(json.dumps(document))
        self._command = [sys.executable, "-c", _PROGRAM.format(parent=os.getpid()), "run", "--config", str(config)]
        self._command += [part for item in sets for part in ("--set", item)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Host:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RETAIND_")}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"OMP_NUM_THREADS": "1", **environment},
                start_new_session=True,  # a Ctrl-C reaches the demo only, which then drains the daemon
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    # -- waiting --------------------------------------------------------------------------------

    @property
    def left_s(self) -> float:
        """Seconds until the deadline."""
        return self._deadline - time.monotonic()

    def wait(self, condition: Callable[[], bool], what: str, look_s: float = _LOOK_S) -> float:
        """Until ``condition`` holds; returns the seconds that it took.

        Raises OutOfTime at the deadline, RetaindError where the daemon has ended.
        """
        started = time.monotonic()
        while not condition():
            if self._process is not None and self._process.poll() is not None:
                raise RetaindError(f"the daemon ended while the demo waited for {what}:\n{self.last_lines()}")
            if self.left_s <= 0:
                raise OutOfTime(
                    f"{what}: did not come within the demo's time; the daemon's log ends\n{self.last_lines()}"
                )
            time.sleep(look_s)
        return time.monotonic() - started

    def ready(self) -> bool:
        try:
            return bool(self.get("/readyz")["ready"])
        except (OSError, KeyError):
            return False

    def settled(self) -> bool:
        """Whether every record that was sent is stored and folded into the answer."""
        lag = re.findall(r"^retaind_consumer_lag_records\{.*\} (\S+)$", self._metrics(), re.MULTILINE)
        if any(float(records) for records in lag):
            return False
        stored = self.get("/v1/buffer").get("last_seq", {}).get(TASK, 0)
        return bool(self.answer("ok")["labels_seen"] >= stored)

    def last_lines(self) -> str:
        """The end of the daemon's log."""
        return self._log.read_text(errors="replace")[-2000:]

    # -- asking ---------------------------------------------------------------------------------

    def answer(self, text: str) -> dict[str, Any]:
        """One prediction."""
        return self._asked({"task": TASK, "text": text})

    def answers(self, cases: Sequence[Case], *, remember: bool = False) -> list[dict[str, Any]]:
        """A prediction for each case; ``remember``: with its id, so that the event is stored and its label finds it."""
        rows = [{"text": case.text, **({"id": case.id} if remember else {})} for case in cases]
        made: list[dict[str, Any]] = self._asked({"task": TASK, "instances": rows})["predictions"]
        return made

    def send(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Events and labels into the stream; returns once they are durable."""
        if records:
            self.call("/v1/events", list(records))

    def get(self, path: str) -> dict[str, Any]:
        return self.call(path, None)

    def call(self, path: str, body: object, method: str = "POST") -> dict[str, Any]:
        """GET without a body. Raises OSError where nobody listens or the answer is an error."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url(path), data, {"content-type": "application/json"}, method="GET" if body is None else method
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            answer: dict[str, Any] = json.load(response)
            return answer

    def url(self, path: str) -> str:
        """Raises OSError while the daemon does not listen."""
        door = json.loads((self.state / "http.json").read_bytes())
        return f"http://127.0.0.1:{door['port']}{path}"

    def _asked(self, body: object) -> dict[str, Any]:
        self.requests += 1
        try:
            return self.call("/v1/predict", body)
        except OSError:
            self.failed += 1
            raise

    def _metrics(self) -> str:
        with urllib.request.urlopen(self.url("/metrics"), timeout=30) as response:
            return str(response.read(), "utf-8")
