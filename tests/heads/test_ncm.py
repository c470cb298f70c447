"""Nearest class mean: the contract, and what is its own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.config.head import NcmHead
from daemon.errors import ConfigError
from daemon.heads import get_head
from daemon.heads.ncm import NcmKind, NcmState
from tests.heads.contract import LABELS, WIDTH, HeadContract, features, key, same

OPTIONS = NcmHead().model_dump(mode="json")


def folded(numbers: range) -> NcmState:
    state = NcmState(20.0, 3)
    for number in numbers:
        state.add(key(number), f"e{number}", LABELS[number % 4], features(number))
    state.advance(len(numbers))
    return state


class TestNcm(HeadContract):
    kind = "ncm"
    options = OPTIONS

    def test_weights_are_the_class_means(self) -> None:
        # Given inputs of known classes
        state = folded(range(40))
        # When the state is solved
        means = state.weights().tensors()["means"]
        # Then each row is the mean of its class, of length 1
        for row, label in zip(means, state.labels, strict=True):
            mean = np.stack([features(i) for i in range(40) if LABELS[i % 4] == label]).astype(np.float64).mean(axis=0)
            np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-6)

    def test_probabilities_are_the_softmax_of_cosines(self) -> None:
        # Given weights with means
        weights = folded(range(12)).weights()
        probe = features(99)
        # When they answer
        answer = weights.probabilities(3 * probe[None])
        # Then it is softmax(temperature x cosine), whatever the length of the features
        odds = np.exp(OPTIONS["temperature"] * (weights.tensors()["means"] @ probe))
        np.testing.assert_allclose(answer[0], odds / odds.sum(), rtol=1e-5)

    def test_many_changes_leave_no_dust(self) -> None:
        # Given a state
        state = folded(range(20))
        # When an input goes in and out ten thousand times
        for _ in range(10_000):
            state.add(key(500), "e", "lost", features(500))
            state.remove(key(500), "e", features(500))
        # Then the state is what it was
        same(state, folded(range(20)))

    def test_the_sum_of_an_emptied_class_is_zero(self) -> None:
        # Given a class with one member
        state = NcmState(20.0, 3)
        state.add(key(1), "e", "lost", features(1))
        # When it goes
        state.remove(key(1), "e", features(1))
        # Then nothing of it is left
        assert not state.tensors()["sums"].any()
        assert state.members() == 0

    @settings(max_examples=30, deadline=None)
    @given(cut=st.integers(0, 30))
    def test_disjoint_states_add_up(self, cut: int) -> None:
        # Given two states of disjoint inputs
        left, right = folded(range(cut)), folded(range(cut, 30))
        # When they are merged
        merged = left.merge(right)
        # Then it is the state of all of them, as far as both have gone
        same(merged, folded(range(30)))
        assert merged.cursor == min(cut, 30 - cut)
        # And its members can be taken out again
        if cut:
            merged.remove(key(0), "e0", features(0))
            assert merged.members() == 29

    def test_states_that_share_an_input_are_not_merged(self) -> None:
        # Given two states that know one input
        # Then they cannot be merged
        with pytest.raises(ValueError, match="1 inputs are in both"):
            folded(range(5)).merge(folded(range(4, 6)))

    def test_states_of_other_options_are_not_merged(self) -> None:
        # Given states of different temperature
        # Then they cannot be merged
        with pytest.raises(ValueError, match="temperature"):
            folded(range(5)).merge(NcmState(5.0, 3))

    def test_arrays_that_do_not_fit_are_refused(self) -> None:
        # Given a snapshot with a count too many
        state = folded(range(5))
        broken = {**state.tensors(), "counts": state.tensors()["counts"] + 1}
        # Then it is refused
        with pytest.raises(ValueError, match="counts: 9 in all; there are 5 members"):
            NcmKind().load_state(broken, state.metadata())

    def test_a_key_must_be_a_hash(self) -> None:
        # Given a state
        state = NcmState(20.0, 3)
        # When a key is not 16 bytes
        # Then it is refused
        with pytest.raises(ValueError, match="3 bytes"):
            state.add(b"abc", "e", "lost", np.ones(WIDTH, np.float32))


def test_heads_are_found_by_kind() -> None:
    # Given the kinds of the configuration
    # Then "none" has no head, and an unknown one is refused by name
    assert get_head("none") is None
    assert get_head("ncm") is not None
    with pytest.raises(ConfigError, match=r"head\.kind: 'lda'; allowed: ncm, none, ranpac, slda"):
        get_head("lda")
