"""From runs to rows: the mean over seeds, and how sure it is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

T_QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Student's t at 97.5%, for 1 to 9 degrees of freedom; with more, the normal distribution's."""
NORMAL_QUANTILE = 1.96
SHARES: Mapping[str, Sequence[str]] = {
    "final": ("final",),
    "average_incremental": ("average_incremental",),
    "any_time": ("any_time", "all"),
    "any_time_young": ("any_time", "young"),
    "forgetting": ("forgetting",),
    "backward_transfer": ("backward_transfer",),
}
"""Column -> where the value stands in a run."""


def interval(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean, and half the width of its 95% interval (None for one value)."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, None
    freedom = len(values) - 1
    quantile = T_QUANTILES[freedom - 1] if freedom <= len(T_QUANTILES) else NORMAL_QUANTILE
    return mean, quantile * statistics.stdev(values) / math.sqrt(len(values))


def told(values: Sequence[float], digits: int = 3) -> str:
    """``0.912 ± 0.004``."""
    mean, half = interval(values)
    return f"{mean:.{digits}f}" + ("" if half is None else f" ± {half:.{digits}f}")


def summary_row(name: str, runs: Sequence[Mapping[str, Any]], rate: float | None) -> dict[str, Any]:
    """One learner; a value that it does not have is left empty."""
    row: dict[str, Any] = {"what": name}
    for column, path in SHARES.items():
        values = [value for run in runs if (value := _at(run, path)) is not None]
        row[column] = told(values) if values else ""
    return {
        **row,
        "cpu_s": told([run["cpu_s"] for run in runs], 0),
        "trained_samples": round(statistics.fmean(run["trained_samples"] for run in runs)),
        "peak_mb": round(max(run["peak_rss_bytes"] for run in runs) / 1e6),
        "learning_rate": "" if rate is None else rate,
    }


def shots_rows(by_seed: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """A row for each number of texts a class, a column for each head."""
    heads = {
        ("fast", True): "fast_head_with_names",
        ("fast", False): "fast_head",
        ("self-taught", True): "fast_head_with_names_and_unlabelled_texts",
        ("linear", False): "linear_head_on_frozen_features",
    }
    found: dict[int, dict[str, list[float]]] = {}
    for rows in by_seed:
        for row in rows:
            column = heads[row["head"], row["names"]]
            found.setdefault(row["shots"], {}).setdefault(column, []).append(row["accuracy"])
    return [
        {"texts_a_class": shots, **{name: told(columns[name]) if name in columns else "" for name in heads.values()}}
        for shots, columns in found.items()
    ]


def _at(run: Mapping[str, Any], path: Sequence[str]) -> float | None:
    value: Any = run
    for key in path:
        value = value.get(key) if value is not None else None
    return None if value is None else float(value)
