"""Updates as they happen: read from the directories of their jobs, as anyone may who shows progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

_PHASES = {"load": 0.15, "grow": 0.02, "train": 0.5, "champion": 0.05, "refit": 0.2, "score": 0.05, "save": 0.03}
"""The phases of an attempt in order, each with its rough share of the time."""


@dataclass(frozen=True, slots=True)
class Running:
    """An update that is under way: ``share`` of the whole, 0 to 1."""

    job: str
    events: int
    phase: str
    share: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an update ended. ``version`` is None where its training was given up."""

    job: str
    version: str | None
    decision: str
    promoted: bool
    rows: int
    champion: float
    candidate: float
    failed: tuple[str, ...]
    """The reasons of the checks that failed."""
    reasons: tuple[str, ...]


class Updates:
    """``jobs``: the daemon's directory of jobs. Reads only."""

    def __init__(self, jobs: Path) -> None:
        self._jobs = jobs
        self.outcomes: list[Outcome] = []

    def running(self) -> Running | None:
        """The update under way, if one is."""
        for path in self._directories():
            if (path / "job.json").is_file() and not (path / "done.json").exists():
                manifest = _read(path / "job.json")
                phase, share = _progress(path / "out")
                return Running(path.name, int(manifest.get("counts", {}).get("new", 0)), phase, share)
        return None

    def ended(self) -> Sequence[Outcome]:
        """Updates that ended since this was last asked."""
        known = {outcome.job for outcome in self.outcomes}
        fresh = [
            _outcome(path.name, _read(path / "done.json"))
            for path in self._directories()
            if path.name not in known and (path / "done.json").exists()
        ]
        self.outcomes += fresh
        return fresh

    def _directories(self) -> list[Path]:
        return sorted(self._jobs.glob("[0-9]*"))


def _outcome(job: str, done: Mapping[str, Any]) -> Outcome:
    checks = done.get("checks", ())
    return Outcome(
        job,
        done.get("version"),
        done.get("decision", "failed"),
        bool(done.get("promoted")),
        int(done.get("rows", 0)),
        float(done.get("champion", 0.0)),
        float(done.get("candidate", 0.0)),
        tuple(check["reason"] for check in checks if not check["passed"]),
        tuple(check["reason"] for check in checks) or (str(done.get("error", "")),),
    )


def _progress(out: Path) -> tuple[str, float]:
    """(phase, share of the whole) by the last whole line of the newest attempt's progress."""
    attempts = sorted(out.glob("attempt-*/progress.jsonl"), key=lambda path: path.stat().st_mtime)
    lines = attempts[-1].read_bytes().split(b"\n")[:-1] if attempts else []
    if not lines:
        return "start", 0.0
    last = orjson.loads(lines[-1])
    names = list(_PHASES)
    before = sum(_PHASES[name] for name in names[: names.index(last["phase"])]) if last["phase"] in names else 0.0
    within = last["done"] / last["total"] if last["total"] else 0.0
    return str(last["phase"]), min(1.0, before + within * _PHASES.get(last["phase"], 0.0))


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(path.read_bytes())
    return document
