"""What a check looks at, and what it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from daemon.clock import Clock
from daemon.config.models import Config
from daemon.config.paths import StatePaths
from daemon.finding import Finding


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
