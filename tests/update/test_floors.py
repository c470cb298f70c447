"""Class by class: what is accused, and how seldom wrongly."""

from __future__ import annotations

import numpy as np
import pytest

from daemon.config.task import Gate
from daemon.tasks.base import Floats
from daemon.tasks.metrics import mean_score
from daemon.update.floors import class_floors
from daemon.update.gate import judge
from daemon.update.pair import Pair, Scale

SCALE = Scale(mean_score, 1, 500)
EMPTY = Pair(np.zeros((0, 1)), np.zeros((0, 1)), [])


def rows(hits: int, of: int) -> Floats:
    return np.array([1.0] * hits + [0.0] * (of - hits))[:, None]


def pair(*classes: tuple[str, int, int, int]) -> Pair:
    """(name, rows, right before, right after) for each class."""
    made = EMPTY
    for name, size, before, after in classes:
        made = made + Pair(rows(before, size), rows(after, size), [name] * size)
    return made


def test_a_class_that_fell_is_named_with_its_figures() -> None:
    # Given a class that lost 40 points among level ones
    found = class_floors(pair(("a", 50, 45, 45), ("b", 50, 45, 25), ("c", 500, 450, 455)), SCALE, Gate(), 0)
    assert found is not None
    assert not found.passed
    assert "'b' 0.9000 -> 0.5000 on 50 rows" in found.reason


def test_a_fall_within_the_margin_or_on_few_rows_accuses_nobody() -> None:
    # Given a loss of 8 points, and one of 40 points on 29 rows
    found = class_floors(pair(("a", 100, 90, 82), ("b", 29, 26, 14)), SCALE, Gate(), 0)
    assert found is not None
    assert found.passed
    assert "none of 1" in found.reason
    assert class_floors(pair(("b", 29, 26, 14)), SCALE, Gate(), 0) is None


def test_many_classes_are_not_many_chances() -> None:
    # Given 60 classes whose candidates truly lost just the margin, in each of 40 worlds
    accused = 0
    for world in range(40):
        rng = np.random.default_rng(world)
        made = EMPTY
        for number in range(60):
            kind = rng.random((60, 1))
            champion, candidate = (kind < 0.9).astype(float), (kind < 0.8).astype(float)
            made = made + Pair(champion, candidate, [f"class {number}"] * 60)
        found = class_floors(made, Scale(mean_score, 1, 100), Gate(), world)
        accused += found is not None and not found.passed
    # Then about one world in twenty accuses any of them; uncorrected nearly all would
    assert accused <= 8


@pytest.mark.parametrize("after", [20, 44])
def test_the_gate_fails_a_candidate_that_gains_overall_and_drops_a_class(after: int) -> None:
    # Given a candidate that is better by much on one class and loses another one
    holdout = pair(("a", 1000, 700, 900), ("b", 50, 45, after))
    verdict = judge(
        holdout,
        EMPTY,
        aggregate=mean_score,
        direction=1,
        old_labels=frozenset({"a"}),
        grown=False,
        config=Gate(resamples=200, min_gain_ratio=0.0),
        seed=0,
    )
    assert verdict.promote == (after == 44)
    found = next(check for check in verdict.checks if check.name == "classes")
    assert found.passed == verdict.promote
