"""Two heads, one answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from daemon.heads.blend import align, blend, fit_blend


def drawn(seed: int, rows: int, columns: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).dirichlet(np.ones(columns), rows) if columns else np.zeros((rows, 0))


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 1000),
    tuned=st.lists(st.sampled_from("abcdef"), unique=True),
    fast=st.lists(st.sampled_from("abcdef"), unique=True),
    weight=st.floats(0, 1),
)
def test_a_blend_is_a_distribution(seed: int, tuned: list[str], fast: list[str], weight: float) -> None:
    # Given two heads that know some classes each, at least one between them
    p, q = drawn(seed, 4, len(tuned)), drawn(seed + 1, 4, len(fast))
    # When they are blended
    mixed, labels = blend(p, tuned, q, fast, weight)
    # Then the labels are the tuned head's and then the new ones, and the rows sum to 1
    assert labels == (*tuned, *(label for label in fast if label not in tuned))
    assert mixed.shape == (4, len(labels))
    if labels:
        np.testing.assert_allclose(mixed.sum(axis=1), 1, atol=1e-9)
        assert (mixed >= 0).all()
    # And a class that the tuned head does not know keeps the fast head's probability
    if tuned and fast:
        new = [label for label in fast if label not in tuned]
        np.testing.assert_allclose(align(mixed, labels, new), align(q, fast, new), atol=1e-9)


def test_with_the_same_classes_it_is_the_weighted_mean() -> None:
    # Given heads that know the same classes in another order
    p, q = drawn(1, 3, 2), drawn(2, 3, 2)
    # When they are blended
    mixed, labels = blend(p, ("a", "b"), q, ("b", "a"), 0.3)
    # Then it is the weighted mean, in the tuned head's order
    assert labels == ("a", "b")
    np.testing.assert_allclose(mixed, 0.3 * p + 0.7 * q[:, ::-1])


def test_a_head_alone_answers_alone() -> None:
    # Given one head without classes
    p = drawn(1, 3, 2)
    # When they are blended
    # Then the other answers, whatever the weight
    np.testing.assert_array_equal(blend(p, "ab", np.zeros((3, 0)), (), 0.0)[0], p)
    np.testing.assert_array_equal(blend(np.zeros((3, 0)), (), p, "ab", 1.0)[0], p)


def test_what_does_not_fit_is_refused() -> None:
    # Given shapes or a weight that cannot be
    # Then they are refused with what was found
    with pytest.raises(ValueError, match="must be"):
        blend(drawn(1, 3, 2), "ab", drawn(2, 4, 2), "ab", 0.5)
    with pytest.raises(ValueError, match=r"blend: 1\.5"):
        blend(drawn(1, 3, 2), "ab", drawn(2, 3, 2), "ab", 1.5)
    with pytest.raises(ValueError, match="align"):
        fit_blend(drawn(1, 3, 2), drawn(2, 3, 3), [0, 1, 0])


def test_the_weight_goes_to_the_head_that_is_right() -> None:
    # Given a head that is right and one that guesses
    right, guess = np.eye(4)[[0, 1, 2, 3]] * 0.96 + 0.01, np.full((4, 4), 0.25)
    # When a weight is fitted
    # Then it follows the head that is right
    assert fit_blend(right, guess, [0, 1, 2, 3]) == 1.0
    assert fit_blend(guess, right, [0, 1, 2, 3]) == 0.0


def test_without_rows_that_tell_the_weight_is_a_half() -> None:
    # Given no rows, or heads that are equal
    p = drawn(3, 5, 4)
    # When a weight is fitted
    # Then it is ½
    assert fit_blend(p[:0], p[:0], []) == 0.5
    assert fit_blend(p, p, [-1] * 5) == 0.5
    assert fit_blend(p, p, [0, 1, 2, 3, 0]) == 0.5
