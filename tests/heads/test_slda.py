"""The contract, and what is streaming LDA's own."""

from __future__ import annotations

import numpy as np
import pytest

from daemon.config.head import SldaHead
from daemon.heads.slda import SldaKind, SldaState
from tests.heads.contract import LABELS, HeadContract, features, key, same

OPTIONS = SldaHead().model_dump(mode="json")


def folded(numbers: range) -> SldaState:
    state = SldaKind().new(OPTIONS)
    for number in numbers:
        state.add(key(number), f"e{number}", LABELS[number % 4], features(number))
    return state


class TestSlda(HeadContract):
    kind = "slda"
    options = OPTIONS
    tolerance = 1e-4

    def test_it_is_linear_discriminant_analysis_with_shrinkage(self) -> None:
        # Given examples, and the densities of normal distributions with their means and pooled covariance, shrunk
        x = np.stack([features(number) for number in range(200)]).astype(np.float64)
        y = np.arange(200) % 4
        means = np.stack([x[y == place].mean(axis=0) for place in range(4)])
        pooled = (x - means[y]).T @ (x - means[y]) / (200 - 4)
        shrunk = 0.9 * pooled + 0.1 * np.trace(pooled) / len(pooled) * np.eye(len(pooled))
        probes = np.stack([features(number) for number in range(1000, 1300)])
        away = probes[:, None] - means[None]
        odds = np.exp(-0.5 * np.einsum("nci,ij,ncj->nc", away, np.linalg.inv(shrunk), away))
        # When the state answers
        weights = folded(range(200)).weights()
        # Then its probabilities are those densities, classes being alike frequent
        assert weights.labels == LABELS
        wanted = odds / odds.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(weights.probabilities(probes), wanted, atol=1e-4)

    def test_disjoint_states_add_up(self) -> None:
        left, right = folded(range(30)), folded(range(30, 80))
        same(left.merge(right), folded(range(80)), self.tolerance)

    def test_a_name_is_one_more_example_of_the_mean(self) -> None:
        # Given two states, one of which knows the words of a class
        with_name, without = folded(range(8)), folded(range(8))
        with_name.name("lost", features(77))
        # Then it answers those words more surely with that class
        place = without.weights().labels.index("lost")
        sure = [s.weights().probabilities(features(77)[None])[0, place] for s in (without, with_name)]
        assert sure[1] > sure[0]

    def test_sums_that_do_not_fit_are_refused(self) -> None:
        state = folded(range(5))
        with pytest.raises(ValueError, match="do not fit 6 features"):
            SldaKind().load_state({**state.tensors(), "moment": np.zeros((2, 2))}, state.metadata())
