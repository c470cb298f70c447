"""Herding, as iCaRL chooses exemplars."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from strategies.policies.herding import Herding, herd
from strategies.policies.parent import unit
from tests.strategies.policies.around import Around, example


@given(st.integers(1, 14), st.integers(1, 5), st.integers(0, 10**6))
def test_each_choice_brings_the_mean_nearest_to_the_mean_of_all(rows: int, width: int, seed: int) -> None:
    # Given rows of length 1
    made = unit(np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32))
    # When all are chosen in turn, Then each one, of those left, makes the paper's distance the smallest
    order = herd(made, rows)
    assert sorted(order) == list(range(rows))
    mean = made.mean(0)
    for k in range(1, rows + 1):
        before = made[order[: k - 1]].sum(0)
        gaps = {place: float(np.linalg.norm(mean - (before + made[place]) / k)) for place in order[k - 1 :]}
        assert gaps[order[k - 1]] <= min(gaps.values()) + 1e-5
    # and a smaller choice is the front of it
    assert herd(made, rows // 2) == order[: rows // 2]


def test_classes_share_and_typical_events_stay() -> None:
    # Given two classes of ten around a direction each, and an outlier in both
    rows = torch.tensor([[1.0, 0.01 * i, 0.0] for i in range(9)] + [[0.0, 0.0, 1.0]])
    pool = [example(f"{label}{i}", label, i) for label in "ab" for i in range(10)]
    around = Around(pool, [], rows, labels=["a", "b"], old_classes=2)
    # When four of twenty are chosen
    chosen = Herding(candidates_factor=5).choose(around, 4)
    # Then two of each, none of them the outlier, and the parent saw each candidate once
    assert Counter(e.label for e in chosen) == {"a": 2, "b": 2}
    assert not {"a9", "b9"} & {e.event_id for e in chosen}
    assert around.table.asked == 20
