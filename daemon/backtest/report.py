"""The numbers of a backtest's report (docs/reference/backtest.md)."""

from __future__ import annotations

import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from daemon.registry.version import HistoryEntry

Matrix = Sequence[Sequence[float | None]]


def forgetting(matrix: Matrix) -> float:
    """Mean over all groups but the last of (best value so far − final value); 0 for one group."""
    columns = list(zip(*matrix, strict=True))[:-1]
    drops = [max(known) - known[-1] for column in columns if (known := [v for v in column if v is not None])]
    return float(np.mean(drops)) if drops else 0.0


def backward_transfer(matrix: Matrix) -> float:
    """Mean over the same groups of (final value − value just after the group)."""
    pairs = [(matrix[-1][at], matrix[at][at]) for at in range(len(matrix) - 1)]
    gains = [final - first for final, first in pairs if final is not None and first is not None]
    return float(np.mean(gains)) if gains else 0.0


@dataclass(slots=True)
class Spent:
    """Seconds and bytes of the run. ``evaluate_cpu_s``: of scoring the holdout, which serving would not pay."""

    total_cpu_s: float
    evaluate_cpu_s: float
    wall_s: float
    predict_texts_per_s: float

    def cost(self, trainings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """``trainings``: what each update's training measured."""
        peaks = [peak_rss_bytes(), *(m["peak_rss_bytes"] for m in trainings)]
        return {
            "train_cpu_s": sum(m["cpu_s"] for m in trainings),
            "total_cpu_s": self.total_cpu_s,
            "evaluate_cpu_s": self.evaluate_cpu_s,
            "train_wall_s": sum(m["wall_s"] for m in trainings),
            "wall_s": self.wall_s,
            "trained_samples": sum(m["trained_samples"] for m in trainings),
            "predict_texts_per_s": self.predict_texts_per_s,
            "peak_rss_bytes": max(peaks),
        }


def verdicts(history: Sequence[HistoryEntry]) -> list[HistoryEntry]:
    return [entry for entry in history if entry.kind == "verdict"]


def versions(history: Sequence[HistoryEntry]) -> list[dict[str, Any]]:
    """``later``: why a candidate that was rejected first was promoted after all, null for any other."""
    told = []
    for entry in verdicts(history):
        whys = [other.why for other in history if other.kind == "promoted" and other.version == entry.version]
        told.append(
            {
                "id": entry.version,
                "verdict": entry.details["decision"],
                "promoted": bool(whys),
                "reasons": [check["reason"] for check in entry.details["checks"]],
                "later": whys[-1] if whys and not entry.details["promoted"] else None,
            }
        )
    return told


def cpu_seconds() -> float:
    """Of this process and the children that have ended (trainers)."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def peak_rss_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def dump(report: Mapping[str, Any]) -> bytes:
    return orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY)
