"""Two versions of one task as an update leaves them: made, judged, promoted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from daemon.registry.store import FileRegistry
from daemon.registry.version import Version
from tests.registry.contract import TASK, meta, stage

CONFIG: Mapping[str, Any] = {
    "strategies": [{"name": "replay"}],
    "head": {"kind": "ncm"},
    "split": {"seed": 3},
    "training": {"epochs": 4},
}


def make(
    registry: FileRegistry, scratch: Path, labels: Sequence[str], epochs: int, loss: float, **more: Any
) -> Version:
    staging = stage(scratch / "staging", content=f"{epochs}")
    (staging / "labels.json").write_text(json.dumps(labels))
    counts = {label: 12 - number for number, label in enumerate(labels)}
    metrics = {
        "job": "000007",
        "loss": loss,
        "metric": "accuracy",
        "rows_per_class": {"new": counts, "pool": {}, "validation": {}, "holdout": {labels[0]: 4}},
    }
    recipe = {"config": {**CONFIG, "training": {"epochs": epochs}}, "seed": 5, "reason": "min_events", "counts": {}}
    tune = {"kind": "lora", "rank": 8}
    return registry.publish(staging, meta(tune=tune, metrics=metrics, recipe=recipe, **more), created=86400.0)


def judge(registry: FileRegistry, version: str, *, promoted: bool) -> None:
    details = {
        "decision": "pass" if promoted else "fail",
        "promoted": promoted,
        "rows": 120,
        "judged_against": "000001",
        "champion": 0.8,
        "candidate": 0.9 if promoted else 0.7,
        "checks": [{"name": "overall", "passed": promoted, "margin": 0.05, "reason": "overall: 0.8 -> 0.9"}],
    }
    if promoted:
        registry.promote(TASK, version, who="gate", why="overall: better", time=1.0)
    registry.record("verdict", TASK, version, who="gate", why="overall: told", time=2.0, details=details)
