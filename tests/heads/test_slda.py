"""The contract, and what is streaming LDA's own."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from daemon.config.task import SldaHead
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

    def test_it_draws_the_borders_of_linear_discriminant_analysis(self) -> None:
        # Given examples, and the library's own analysis of them with the same shrinkage and equal priors
        x = np.stack([features(number) for number in range(200)]).astype(np.float64)
        y = [LABELS[number % 4] for number in range(200)]
        peer = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1, priors=[0.25] * 4).fit(x, y)
        # When both answer
        weights = folded(range(200)).weights()
        probes = np.stack([features(number) for number in range(1000, 1300)])
        ours = [weights.labels[column] for column in weights.probabilities(probes).argmax(axis=1)]
        # Then they agree but for a few on the border: the library divides by N, and scales features first
        assert np.mean([a == b for a, b in zip(ours, peer.predict(probes), strict=True)]) > 0.97

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
