"""The test for classes that changed their meaning."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.policies.changes import Present, changed, fewer
from strategies.policies.parent import Array, unit

WIDTH = 16


def cloud(draw: np.random.Generator, axis: int, count: int, spread: float = 0.25) -> Array:
    """Rows of length 1 around one axis; ``spread``: of each coordinate."""
    return unit((np.eye(WIDTH)[axis] + spread * draw.normal(size=(count, WIDTH))).astype(np.float32))


@given(st.integers(0, 12), st.integers(1, 12), st.integers(0, 12), st.integers(1, 12))
def test_fishers_test_counts_every_table(hits: int, of: int, other_hits: int, other_of: int) -> None:
    # Given two sides with hits each, Then the probabilities of all tables with the same margins add up to 1
    hits, other_hits = min(hits, of), min(other_hits, other_of)
    together = hits + other_hits
    low, high = max(0, together - other_of), min(of, together)
    assert fewer(high, of, together - high, other_of) == pytest.approx(1.0)
    # and the probability of so few or fewer grows with the hits
    every = [fewer(k, of, together - k, other_of) for k in range(low, high + 1)]
    assert every == sorted(every)
    assert every[0] > 0


def test_a_textbook_table() -> None:
    # Given Fisher's tea: 1 of 4 against 3 of 4, Then 17/70
    assert fewer(1, 4, 3, 4) == pytest.approx(17 / 70)


def test_an_event_is_judged_by_a_mean_without_itself() -> None:
    # Given a class whose only far event carries the mean, Then alone it does not agree, though the mean with it would
    rows = {
        "a": unit(np.array([[1, 0], [1, 0], [-1, 8.0]], np.float32)),
        "b": unit(np.array([[0, 1.0]] * 3, np.float32)),
    }
    present = Present(rows)
    assert present.new_agree("a").tolist() == [True, True, False]
    assert present.agree("b", rows["a"]).tolist() == [False, False, True]


def test_a_class_whose_texts_are_called_otherwise_now_is_found_and_no_other() -> None:
    # Given classes 0 to 4, and new events in which the texts of 0 are called 1, and 0 means something new
    draw = np.random.default_rng(1)
    stored = {str(i): cloud(draw, i, 30) for i in range(5)}
    new = {str(i): cloud(draw, i, 20) for i in range(5)}
    new["1"] = np.concatenate([cloud(draw, 0, 20), cloud(draw, 1, 20)])
    new["0"] = cloud(draw, 9, 20)
    # Then class 0 is reported: its stored texts have another name now; 1 grew, its stored texts are still its own
    assert changed(new, stored, alpha=0.05, min_drop=0.2) == ["0"]


def test_swapped_classes_are_both_found() -> None:
    draw = np.random.default_rng(2)
    stored = {str(i): cloud(draw, i, 20) for i in range(4)}
    new = {"0": cloud(draw, 1, 12), "1": cloud(draw, 0, 12), "2": cloud(draw, 2, 12), "3": cloud(draw, 3, 12)}
    assert changed(new, stored, alpha=0.05, min_drop=0.2) == ["0", "1"]


def test_without_a_change_false_reports_keep_to_alpha() -> None:
    # Given 400 updates of eight classes that overlap and did not change
    reports = 0
    for seed in range(400):
        draw = np.random.default_rng(seed)
        stored = {str(i): cloud(draw, i, 25, spread=0.6) for i in range(8)}
        new = {str(i): cloud(draw, i, int(draw.integers(5, 30)), spread=0.6) for i in range(8)}
        reports += bool(changed(new, stored, alpha=0.05, min_drop=0.0))
    # Then no more than alpha of them report a class
    assert reports <= 0.05 * 400


def test_what_the_encoder_learnt_by_heart_is_no_change() -> None:
    # Given stored events that the encoder holds closer together than it does new ones, Then nothing is reported
    draw = np.random.default_rng(3)
    stored = {str(i): cloud(draw, i, 40, spread=0.05) for i in range(6)}
    new = {str(i): cloud(draw, i, 25, spread=0.7) for i in range(6)}
    assert changed(new, stored, alpha=0.05, min_drop=0.0) == []


def test_too_little_says_nothing() -> None:
    # Given one class, or four stored events, Then nothing is tested
    draw = np.random.default_rng(4)
    assert changed({"a": cloud(draw, 0, 9)}, {"a": cloud(draw, 1, 9)}, 0.05, 0.2) == []
    new = {"a": cloud(draw, 1, 9), "b": cloud(draw, 0, 9)}
    assert changed(new, {"a": cloud(draw, 0, 4)}, 0.05, 0.2) == []
