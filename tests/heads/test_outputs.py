"""Both heads' answers, and classes that the tuned one is not asked about."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.heads.ncm import NcmKind
from daemon.heads.outputs import Fast, HeadOutputs, join
from daemon.heads.ports import FastWeights

TUNED = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]])
FEATURES = np.eye(4, dtype=np.float32)[:2]


def fast(*labels: str) -> FastWeights:
    """Label i is what lies near the unit vector i."""
    state = NcmKind().new({"temperature": 5.0, "layers": 1})
    for number, label in enumerate(labels):
        state.add(bytes([number]) * 16, f"e{number}", label, np.eye(4, dtype=np.float32)[number])
    return state.weights()


def outputs(*young: str) -> HeadOutputs:
    return HeadOutputs(TUNED, ("lost", "late", "broken"), FEATURES, frozenset(young))


def column(found: tuple[NDArray[np.floating], tuple[str, ...]], label: str) -> NDArray[np.floating]:
    return np.asarray(found[0][:, found[1].index(label)])


def test_a_young_class_gets_what_the_fast_head_says_and_the_others_share_the_rest() -> None:
    # Given a tuned head that has seen too little of one of its classes, and a fast head that knows one more
    weights = fast("broken", "lost", "late", "stolen")
    theirs = weights.probabilities(FEATURES)
    # When both answer, the tuned head with the whole weight
    found = outputs("broken").answers(Fast(weights, 1.0))
    # Then the young class and the unknown one have the fast head's probability
    assert found[1] == ("lost", "late", "broken", "stolen")
    for label in ("broken", "stolen"):
        np.testing.assert_allclose(column(found, label), theirs[:, weights.labels.index(label)])
    # And the others share what is left as the tuned head says
    np.testing.assert_allclose(column(found, "lost") / column(found, "late"), [3.5, 1 / 6])
    np.testing.assert_allclose(found[0].sum(axis=1), 1)


def test_without_young_classes_the_answer_is_the_blend_in_the_same_order() -> None:
    weights = fast("broken", "lost", "late")
    found, labels = outputs().answers(Fast(weights, 1.0))
    assert labels == ("lost", "late", "broken")
    np.testing.assert_allclose(found, TUNED)


@pytest.mark.parametrize("none", [None, Fast(fast(), 0.5)])
def test_without_a_fast_head_the_tuned_one_answers_for_all_its_classes(none: Fast | None) -> None:
    found, labels = outputs("broken").answers(none)
    assert labels == ("lost", "late", "broken")
    np.testing.assert_allclose(found, TUNED)


def test_with_young_classes_only_the_fast_head_answers() -> None:
    weights = fast("broken", "lost", "late")
    found, labels = outputs("lost", "late", "broken").answers(Fast(weights, 1.0))
    assert labels == ("lost", "late", "broken")
    np.testing.assert_allclose(found[:, 2], weights.probabilities(FEATURES)[:, 0])


def test_a_young_class_that_the_fast_head_does_not_know_is_not_answered() -> None:
    found = outputs("broken").answers(Fast(fast("lost", "late"), 0.5))
    assert found[1] == ("lost", "late", "broken")
    assert column(found, "broken").tolist() == [0, 0]


def test_joined_rows_keep_what_is_young() -> None:
    joined = join([outputs("late"), outputs("late")])
    assert (len(joined.tuned), set(joined.young)) == (4, {"late"})
    assert joined.settled[1] == ("lost", "broken")
    np.testing.assert_allclose(joined.settled[0].sum(axis=1), 1)
