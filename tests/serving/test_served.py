"""One immutable thing that answers: version and weights together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from daemon.errors import VersionCorrupt
from daemon.events import Input
from daemon.heads.ncm import NcmState, NcmWeights
from daemon.serving import served as rooms
from tests.serving.tiny import HIDDEN, learnt, served

PAIRS = [("aaaa", "first"), ("bbbb", "second"), ("aaab", "first"), ("zzzz", "third")]


def test_nothing_learnt_yet_is_said_so() -> None:
    # Given a base version, without and with an empty fast head
    base = served(1, cursor=4)
    for model in (base, base.with_weights(NcmState(20.0, 3).weights(), 0.5)):
        # When it answers
        (answer,) = model.answer([Input(text="hello")], 5)
        # Then it says that it knows no labels, and what it has seen
        assert answer == {
            "label": None,
            "reason": "no_labels_yet",
            "version": "000001",
            "labels_seen": 4 if model is base else 0,
        }


def test_a_label_is_answered_from_its_first_example() -> None:
    # Given a base version with a fast head that has seen four texts
    base = served(1)
    model = base.with_weights(learnt(base, PAIRS, cursor=9).weights(), 0.5)
    # When it is asked about them
    answers = model.answer([Input(text=word) for word, _ in PAIRS], 2)
    # Then it knows them, and says which version at which label
    assert [answer["label"] for answer in answers] == [label for _, label in PAIRS]
    assert {(answer["version"], answer["labels_seen"]) for answer in answers} == {("000001", 9)}
    assert all(len(answer["scores"]) == 2 for answer in answers)


def test_two_heads_give_one_answer_in_one_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a tuned head for two classes and a fast head that knows one of them and a new one
    tuned = served(1, ("first", "other"), cursor=3)
    weights = learnt(tuned, PAIRS, cursor=9).weights()
    model = tuned.with_weights(weights, 0.25)
    inputs = [Input(text="aabb"), Input(text="zz")]
    forwards: list[int] = []
    forward = model.model.encoder.forward

    def counted(*args: Any, **more: Any) -> Any:
        forwards.append(1)
        return forward(*args, **more)

    monkeypatch.setattr(model.model.encoder, "forward", counted)
    # When it answers
    answers = model.answers(model.encode(inputs))
    # Then both heads had a part, from one forward
    assert len(forwards) == 1
    assert model.labels == ("first", "other", "second", "third")
    fast = weights.probabilities(model.features(inputs))
    own = tuned.answers(tuned.encode(inputs))
    np.testing.assert_allclose(answers[:, 2:], fast[:, 1:], atol=1e-6)
    known = 1 - fast[:, 1:].sum(1)
    np.testing.assert_allclose(answers[:, 0], 0.25 * known * own[:, 0] + 0.75 * fast[:, 0], atol=1e-6)
    np.testing.assert_allclose(answers.sum(1), 1, atol=1e-6)


def test_an_answer_does_not_depend_on_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a model and many inputs
    base = served(1, ("first", "other"))
    model = base.with_weights(learnt(base, PAIRS, cursor=9).weights(), 0.5)
    inputs = [Input(text=word * n) for word in ("ab", "c", "zzz") for n in range(1, 8)]
    # When they are answered alone, together and in pieces
    alone = np.concatenate([model.answers(model.encode([value])) for value in inputs])
    together = model.answers(model.encode(inputs))
    monkeypatch.setattr(rooms, "CPU_FORWARD_TOKENS", 16)
    in_pieces = model.answers(model.encode(inputs))
    # Then the answers are the same
    np.testing.assert_allclose(alone, together, atol=1e-6)
    np.testing.assert_allclose(in_pieces, together, atol=1e-6)


def test_weights_share_the_encoder_and_change_nothing() -> None:
    # Given a model
    base = served(1, ("first", "other"), cursor=3)
    before = base.answer([Input(text="aabb")], 5)
    # When it gets weights
    model = base.with_weights(learnt(base, PAIRS, cursor=9).weights(), 0.5)
    # Then the encoder is the same object, and the first one answers as before
    assert model.model is base.model
    assert model.encoding == base.encoding
    assert base.answer([Input(text="aabb")], 5) == before
    assert (base.labels_seen, model.labels_seen) == (3, 9)


def test_weights_of_another_encoder_are_refused() -> None:
    # Given weights that were made on other features
    base = served(1)
    wider = NcmWeights(1, ("a",), np.ones((1, HIDDEN), np.float32), 20.0, 3)
    # Then the model does not take them
    with pytest.raises(VersionCorrupt, match="do not fit its encoder"):
        base.with_weights(wider, 0.5)


def test_features_need_their_layers() -> None:
    # Given a model without weights
    base = served(1)
    # Then features are given for the layers asked for, and for none by itself
    assert base.features([Input(text="a")], 2).shape == (1, 2 * HIDDEN)
    assert base.features([], 2).shape == (0, 2 * HIDDEN)
    with pytest.raises(ValueError, match="layers: not given"):
        base.features([Input(text="a")])


def test_unit_scores_count_what_is_right() -> None:
    # Given a model that knows some texts
    base = served(1)
    model = base.with_weights(learnt(base, PAIRS, cursor=9).weights(), 0.5)
    # When labelled texts are scored, one wrongly labelled and one of an unknown class
    rows = [*PAIRS, ("aaaa", "third"), ("aaaa", "unheard")]
    scores = model.unit_scores([(Input(text=word), label) for word, label in rows])
    # Then right is 1, wrong and unknown 0
    assert scores[:, 0].tolist() == [1, 1, 1, 1, 0, 0]


def test_before_the_first_label_every_row_is_wrong() -> None:
    # Given a base version
    # When labelled texts are scored
    scores = served(1).unit_scores([(Input(text="a"), "first"), (Input(text="b"), "second")])
    # Then all are wrong
    assert scores.shape == (2, 1)
    assert not scores.any()


def test_a_broken_encoder_is_found_by_the_probe() -> None:
    # Given encoders whose numbers are not finite
    for damage in (float("nan"), float("inf")):
        # Then the probe finds it
        with pytest.raises(VersionCorrupt, match="not finite"):
            served(1, ("first",), damage=damage).warm()
    served(1, ("first",)).warm()
    served(1).warm()


def test_a_head_that_does_not_fit_the_labels_is_found_by_the_probe() -> None:
    # Given a head with a row too few
    model = served(1, ("first", "second"))
    model.model.head = torch.nn.Linear(HIDDEN, 1)
    # Then the probe finds it
    with pytest.raises(VersionCorrupt, match=r"shape \(2, 1\), not \(2, 2\)"):
        model.warm()
