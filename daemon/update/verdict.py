"""What the gate says: a verdict with a reason and a margin per check. Torch-free, serialisable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HOPE = 0.25
"""A candidate that is better with a smaller probability is given up."""
Decision = Literal["pass", "fail", "insufficient"]


@dataclass(frozen=True, slots=True)
class Check:
    """``margin``: how far the measured value is on the right side of its bound (negative: failed).
    ``conclusive`` False: it refutes nothing; the rows were too few and ``gate.insufficient`` decided, or it asks
    whether there is a gain."""

    name: str
    passed: bool
    margin: float
    reason: str
    conclusive: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """``promote``: what follows by policy when nothing is held. ``rows``: holdout rows judged. ``better``: probability
    that it is better on all rows kept from training; None where that was not asked, or where the gate's policy takes no
    word from rows beside the holdout's."""

    decision: Decision
    promote: bool
    rows: int
    champion: float
    candidate: float
    checks: tuple[Check, ...]
    better: float | None = None

    @property
    def unsure(self) -> bool:
        """Not to be promoted, but not refuted either, and it may well be better."""
        return self.decision != "fail" and not self.promote and self.better is not None and self.better >= HOPE

    @property
    def reasons(self) -> tuple[str, ...]:
        return tuple(check.reason for check in self.checks)
