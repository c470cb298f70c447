"""What a check says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from daemon.clock import Clock
from daemon.config.models import Config
from daemon.config.paths import StatePaths

Status = Literal["ok", "warn", "fail"]
SEVERITY: tuple[Status, ...] = ("ok", "warn", "fail")


@dataclass(frozen=True, slots=True)
class Finding:
    """``says``: what was found; ``mend``: what to do about it, empty where nothing need be done or ``says``
    tells it."""

    status: Status
    says: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is looked at. ``environ``: the process's environment as the user set it."""

    config: Config
    environ: Mapping[str, str]
    clock: Clock

    @property
    def paths(self) -> StatePaths:
        return StatePaths(self.config.state_dir)


class Check(Protocol):
    """Looks, and changes nothing. A RetaindError or OSError that it raises is a failed check."""

    def __call__(self, patient: Patient, /) -> Iterator[Finding]: ...


def worst(statuses: list[Status]) -> Status:
    """The most severe of them; ``ok`` where there is none."""
    return max(statuses, key=SEVERITY.index, default="ok")
