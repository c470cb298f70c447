"""What a check says: of this machine (:mod:`daemon.doctor`) or of a stream's other end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]
SEVERITY: tuple[Status, ...] = ("ok", "warn", "fail")


@dataclass(frozen=True, slots=True)
class Finding:
    """``says``: what was found; ``mend``: what to do about it, empty where nothing need be done or ``says``
    tells it."""

    status: Status
    says: str
    mend: str = ""


def worst(findings: Iterable[Finding]) -> Status:
    """The most severe status among them; ``ok`` where there is none."""
    return max((finding.status for finding in findings), key=SEVERITY.index, default="ok")
