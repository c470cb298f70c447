"""Class by class: none with rows enough to tell may have lost more than its margin.

One-sided tests of "the loss is not larger than the margin", normal on the bootstrap's mean and spread, with
Holm's correction over the classes (Holm 1979): the chance that any class is accused wrongly stays below
1 - ``gate.confidence``, however many there are.
"""

from __future__ import annotations

from collections import Counter
from math import erfc, sqrt

from daemon.config.task import Gate
from daemon.update.pair import Pair, Scale
from daemon.update.verdict import Check


def class_floors(holdout: Pair, scale: Scale, config: Gate, seed: int) -> Check | None:
    """None where no class has ``gate.class_rows`` rows. Its margin: what the class most in danger
    has left of it."""
    counts = Counter(label for label in holdout.labels if label)
    classes = sorted(label for label, rows in counts.items() if rows >= config.class_rows)
    if not classes:
        return None
    parts = {label: holdout.of({label}) for label in classes}
    margin = config.class_margin
    chances = {label: _chance(parts[label], scale, margin, seed + place) for place, label in enumerate(classes)}
    worst = min(classes, key=lambda label: (chances[label], scale.difference(parts[label])))
    lost = _rejected(chances, 1 - config.confidence)
    pair = parts[worst]
    said = (
        f"{worst!r} {scale.aggregate(pair.champion):.4f} -> {scale.aggregate(pair.candidate):.4f} "
        f"on {len(pair)} rows, p {chances[worst]:.4f}"
    )
    left = scale.difference(pair) + margin
    if lost:
        others = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        return Check("classes", False, left, f"classes: {said}{others}: lost more than {margin:g}")
    reason = f"classes: none of {len(classes)} has shown to lose more than {margin:g}; nearest {said}"
    return Check("classes", True, left, reason)


def _chance(pair: Pair, scale: Scale, margin: float, seed: int) -> float:
    """p of a loss so far beyond the margin, were it not beyond."""
    drawn = scale.bootstrap(pair, seed)
    spread = float(drawn.std())
    beyond = scale.difference(pair) + margin
    if spread < 1e-12:
        return 0.0 if beyond < 0 else 1.0
    return 0.5 * erfc(-beyond / spread / sqrt(2))


def _rejected(chances: dict[str, float], level: float) -> list[str]:
    found: list[str] = []
    for rank, (label, chance) in enumerate(sorted(chances.items(), key=lambda item: item[1])):
        if chance > level / (len(chances) - rank):
            break
        found.append(label)
    return found
