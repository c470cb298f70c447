"""Trials that are measured already: a run of hours that was stopped goes on where it was.

A trial's result lies in a file of its own, named after all that it depends on but the machine: the trial, the bytes of
stream and holdout, and the versions of retaind and of what it stands on. A change of the code alone is not seen: keep
to one directory as long as the code stays as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from daemon.bench.learning.child import measure
from daemon.bench.learning.plan import Trial, dump
from daemon.durable import sha256, write_atomically
from daemon.errors import ConfigError

PACKAGES = ("retaind", "torch", "transformers", "avalanche-lib")


class Kept:
    """``directory`` is made where it is missing. Raises ConfigError where that cannot be."""

    def __init__(self, directory: Path) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--keep {directory}: {error.strerror}; name a directory that can be written") from error
        self._directory = directory

    def __call__(self, *trials: Trial) -> list[dict[str, Any]]:
        """As :func:`measure`, but each trial in a process of its own, and only those whose result is not there."""
        return [self._one(trial) for trial in trials]

    def _one(self, trial: Trial) -> dict[str, Any]:
        path = self._path(trial)
        if path.is_file():
            found: dict[str, Any] = orjson.loads(path.read_bytes())
            return found
        (found,) = measure(trial)
        write_atomically(path, orjson.dumps(found))
        return found

    def _path(self, trial: Trial) -> Path:
        """Its learner, seed, rate and rows in words; the rest as a hash."""
        words: Sequence[object] = (trial.kind, trial.name, trial.seed, trial.rate, trial.on)
        readable = "-".join("".join(c if c.isalnum() or c == "." else "_" for c in str(word)) for word in words)
        data = [sha256(Path(path)) for path in (trial.stream, trial.holdout)]
        told = dump([replace(trial, stream=data[0], holdout=data[1])])
        versions = "".join(f"{name} {version(name)}\n" for name in PACKAGES).encode()
        return self._directory / f"{readable}-{hashlib.sha256(told + versions).hexdigest()[:16]}.json"
