"""What was foretold of labels, by one model and by two beside each other."""

from __future__ import annotations

import numpy as np
import pytest

from daemon.roles import foretold
from daemon.roles.foretold import Foretold

LABELS = ("a", "b")
A, B = (0.9, 0.1), (0.2, 0.8)


def said(*rows: tuple[int, str, tuple[float, float]]) -> Foretold:
    made = Foretold()
    made.note([seq for seq, _, _ in rows], [label for _, label, _ in rows], np.array([p for _, _, p in rows]), LABELS)
    return made


def test_given_two_models_when_side_by_side_then_only_what_both_foretold_counts() -> None:
    # Given a champion that was asked three labels and a candidate that was asked two of them and a fourth
    champion = said((3, "a", B), (1, "a", A), (2, "b", A))
    candidate = said((4, "a", A), (3, "a", A), (2, "b", A))
    # When they are set side by side, then rows are those that both were asked, in the stream's order
    pair = champion.beside(candidate)
    assert pair.champion.tolist() == [[0.0], [0.0]]
    assert pair.candidate.tolist() == [[0.0], [1.0]]
    assert pair.labels == ["b", "a"]


def test_given_models_that_were_asked_nothing_in_common_then_there_are_no_rows() -> None:
    pair = said((1, "a", A)).beside(Foretold())
    assert (len(pair), pair.champion.shape) == (0, (0, 1))


def test_given_a_label_that_is_asked_again_then_the_first_answer_counts() -> None:
    # Given a model that learnt a label, and is asked it once more
    asked = said((1, "a", B))
    asked.note([1], ["a"], np.array([A]), LABELS)
    assert asked.beside(asked).champion.tolist() == [[0.0]]


def test_given_a_model_that_knows_no_class_then_it_foretold_nothing() -> None:
    asked = Foretold()
    asked.note([1, 2], ["a", "b"], np.zeros((2, 0)), ())
    assert asked.beside(asked).champion.tolist() == [[0.0], [0.0]]


def test_given_many_labels_then_the_last_ones_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foretold, "LAST", 3)
    asked = said(*((seq, "a", A) for seq in range(5)))
    asked.note([5], ["b"], np.array([A]), LABELS)
    assert asked.beside(asked).labels == ["a", "a", "b"]
