"""Given a served model that remembers, when inputs come again, then they are not encoded again and nothing differs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from daemon.backtest.prequential import score
from daemon.backtest.remembering import Remembering
from daemon.events import Event, Input
from tests.serving.tiny import served

CARD, FEE, LATE = (Input(text=text) for text in ("card", "fee", "late"))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> tuple[Remembering, list[int]]:
    """A model, and how many texts each of its forwards encoded."""
    model, texts = Remembering(served(1, ["card", "fee"])), list[int]()
    run = model.model.encoder.forward

    def forward(examples: Any, **options: Any) -> Any:
        texts.extend([len(examples)] if examples else [])
        return run(examples, **options)

    monkeypatch.setattr(model.model.encoder, "forward", forward)
    return model, texts


def test_each_input_is_encoded_once(counted: tuple[Remembering, list[int]]) -> None:
    model, texts = counted
    plain = served(1, ["card", "fee"])
    for inputs in ([CARD, FEE, CARD], [FEE, LATE], [LATE, CARD]):
        np.testing.assert_allclose(model.features(inputs, 2), plain.features(inputs, 2), atol=1e-6)
    assert texts == [2, 1]
    # And features of other layers are others
    np.testing.assert_allclose(model.features([CARD], 3), plain.features([CARD], 3), atol=1e-6)
    assert model.features([], 2).shape == plain.features([], 2).shape
    # And two models of one version may share what they know
    assert Remembering(plain, model.known).features([LATE], 2).shape == (1, 16)
    assert texts == [2, 1, 1]


def test_what_was_scored_is_folded_without_encoding_it_again(counted: tuple[Remembering, list[int]]) -> None:
    # Given events that are scored before they are learnt
    model, texts = counted
    model.features([LATE], 2)
    events = [Event(value.text or "", "support", time=0.0, input=value, label=value.text) for value in (CARD, FEE)]
    units = score(model, model, events, 2)
    assert units.shape == (2, 1)
    # When their features are asked for, then they are there, and older ones are not
    texts.clear()
    plain = served(1, ["card", "fee"])
    np.testing.assert_allclose(model.features([FEE, CARD], 2), plain.features([FEE, CARD], 2), atol=1e-6)
    assert texts == []
    assert {value for value, _ in model.known} == {CARD, FEE}
    # And without a fast head nothing is remembered
    score(model, model, events, 0)
    assert not model.known
