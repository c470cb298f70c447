"""``retaind demo``: the real daemon on the embedded stream, fed with a few hundred events, told as it happens."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from daemon.cli.options import Options, common

PHRASES = {
    "card_swallowed": ("the machine {place} kept my card", "my card was swallowed {place}"),
    "refund_missing": ("the refund of order {n} never came", "I still wait for my money back for order {n}"),
    "late_delivery": ("parcel {n} should have been here {when}", "my order {n} is late since {when}"),
    "cannot_log_in": ("the app refuses my password {when}", "I am locked out of account {n}"),
}
NEW_CLASS = {"double_charge": ("order {n} was charged twice {when}", "you took the money for order {n} two times")}
PLACES = ("abroad", "at the station", "in the branch", "near the office")
WHENS = ("yesterday", "last week", "on Monday", "this morning")


def phrases(kinds: Mapping[str, tuple[str, ...]], n: int, rng: random.Random, prefix: str) -> Iterator[dict[str, Any]]:
    for i in range(n):
        label = rng.choice(list(kinds))
        values = {"place": rng.choice(PLACES), "when": rng.choice(WHENS), "n": rng.randint(1000, 99999)}
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        text = rng.choice(kinds[label]).format(**values)
        yield {"id": f"{prefix}-{i}", "task": "support", "time": moment, "text": text, "label": label}


@click.command()
@click.option("--seconds", type=float, default=120, show_default=True, help="Give up after so long.")
@click.option("--seed", type=int, default=0, show_default=True)
@common
def demo(options: Options, seconds: float, seed: int) -> None:
    """Run the daemon on a state directory of its own and show it learning: labels, a new class, an update, a rollback.

    \b
    Example:
      retaind demo
    """
    with tempfile.TemporaryDirectory(prefix="retaind-demo-") as directory:
        story = _Story(Path(directory), time.monotonic() + seconds, random.Random(seed), quiet=options.json)
        try:
            result = story.tell()
        finally:
            story.end()
    options.emit(result, "\n".join(f"{key:<24}{value}" for key, value in result.items()))


class _Story:
    def __init__(self, directory: Path, deadline: float, rng: random.Random, *, quiet: bool) -> None:
        self._deadline, self._rng, self._quiet = deadline, rng, quiet
        self._state = directory / "state"
        config = directory / "config.yaml"
        settings = {
            "state_dir": str(self._state),
            "http": {"port": 0},
            "tasks": {"support": {"trigger": {"min_events": 200, "cooldown_s": 1}, "training": {"epochs": 2}}},
        }
        config.write_text(json.dumps(settings))
        self._log = (directory / "log.txt").open("wb")
        command = [sys.executable, "-m", "daemon.cli", "run", "--config", str(config)]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, env=dict(os.environ))

    def tell(self) -> dict[str, Any]:
        started = time.monotonic()
        self._wait(lambda: self._get("/readyz")["ready"], "the daemon to be ready")
        ready_s = time.monotonic() - started
        self._say(f"ready after {ready_s:.1f} s; nothing learnt yet: {self._predict('my card is gone')}")
        self._post("/v1/events", list(phrases(PHRASES, 120, self._rng, "a")))
        self._wait(lambda: self._predict("the machine kept my card")["label"] == "card_swallowed", "the first labels")
        self._say(f"120 labels later: {self._predict('the machine at the airport kept my card')}")
        asked = time.monotonic()
        self._post("/v1/events", list(phrases(NEW_CLASS, 5, self._rng, "n")))
        text = "order 4711 was charged twice"
        self._wait(lambda: self._predict(text)["label"] == "double_charge", "the new class")
        fresh_s = time.monotonic() - asked
        self._say(f"a class with five labels answers after {fresh_s:.2f} s: {self._predict(text)}")
        base = self._get("/v1/tasks/support/champion")["version"]
        everything = {**PHRASES, **NEW_CLASS}
        self._post("/v1/events", list(phrases(everything, 400, self._rng, "b")))
        self._wait(lambda: self._get("/v1/tasks/support/champion")["version"] != base, "an update, a verdict, a swap")
        champion = self._get("/v1/tasks/support/champion")["version"]
        self._wait(lambda: self._predict(text)["version"] == champion, "the swap")
        self._say(f"version {champion} was trained, passed the gate and serves: {self._predict(text)}")
        self._post("/v1/tasks/support/rollback", {"why": "demo"})
        self._wait(lambda: self._predict(text)["version"] == base, "the rollback")
        self._say(f"rolled back to {base}: {self._predict(text)}")
        rows = self._get("/v1/versions")["versions"]
        return {
            "ready_s": round(ready_s, 2),
            "new_class_s": round(fresh_s, 2),
            "versions": len(rows),
            "updated": champion,
        }

    def end(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._log.close()

    def _say(self, line: str) -> None:
        if not self._quiet:
            click.echo(f"  {line}")

    def _wait(self, condition: Any, what: str) -> None:
        while time.monotonic() < self._deadline:
            try:
                if condition():
                    return
            except (OSError, urllib.error.URLError, KeyError):
                pass
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        from daemon.errors import RetaindError

        raise RetaindError(f"the demo waited in vain for {what}; the daemon says:\n{self._last_lines()}")

    def _last_lines(self) -> str:
        self._log.flush()
        return Path(self._log.name).read_text(errors="replace")[-2000:]

    def _predict(self, text: str) -> dict[str, Any]:
        return self._post("/v1/predict", {"task": "support", "text": text})

    def _get(self, path: str) -> dict[str, Any]:
        return self._call(path, None)

    def _post(self, path: str, body: object) -> dict[str, Any]:
        return self._call(path, json.dumps(body).encode())

    def _call(self, path: str, body: bytes | None) -> dict[str, Any]:
        port = json.loads((self._state / "http.json").read_text())["port"]
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
