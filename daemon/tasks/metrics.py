"""What makes one number of per-row scores. Torch-free."""

from __future__ import annotations

from daemon.tasks.base import Floats


def mean_score(units: Floats) -> float:
    """[N, 1] -> the mean (accuracy, where a unit is 1 for a right answer); 0 without rows."""
    return float(units.mean()) if len(units) else 0.0
