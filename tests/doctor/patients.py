"""A configuration and a state directory to look at."""

from __future__ import annotations

from pathlib import Path

from daemon.config.load import load
from daemon.doctor.checks import CHECKS
from daemon.doctor.finding import Patient
from daemon.finding import Finding
from daemon.testing import FakeClock


def patient(state: Path, *sets: str, environ: dict[str, str] | None = None, now: float = 2e9) -> Patient:
    config = load(None, [f"state_dir={state}", "tasks.support={}", "http.port=0", *sets], {}).config
    return Patient(config, environ or {}, FakeClock(now))


def told(name: str, of: Patient) -> list[Finding]:
    return list(CHECKS[name](of))


def only(name: str, of: Patient) -> Finding:
    """The one finding of a check."""
    (finding,) = told(name, of)
    return finding
