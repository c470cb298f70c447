from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

import numpy as np
import pytest

from daemon.bench.learning import shots
from daemon.bench.learning.history import History
from daemon.bench.learning.plan import Trial
from daemon.events import Input


def test_more_shots_hold_the_fewer_and_another_seed_draws_others(history: History) -> None:
    one, three = shots.draw(history.train, 1, 0), shots.draw(history.train, 3, 0)
    assert set(Counter(row.label for row in three).values()) == {3}
    assert set(one) < set(three)
    assert shots.draw(history.train, 3, 1) != three


def test_given_names_and_few_texts_when_measured_then_each_head_has_its_rows(history: History, trial: Trial) -> None:
    found = shots.run(trial, history)["rows"]
    assert [row["shots"] for row in found] == [0, *(n for n in shots.SHOTS for _ in range(3))]
    assert {(row["head"], row["names"]) for row in found} == {("fast", True), ("fast", False), ("linear", False)}
    assert all(0 <= row["accuracy"] <= 1 for row in found)
    # Our texts say what they are about: a few tell the classes apart, even to a random encoder
    assert found[-1]["accuracy"] > 0.5


class Told:
    """A head that keeps the words of its classes: what it was told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def name(self, label: str, features: np.ndarray[Any, Any]) -> None:
        self.told.append(("name", label))

    def stand(self, labels: Collection[str]) -> None:
        self.told.append(("stand", list(labels)))

    def add(self, key: bytes, event_id: str, label: str, features: np.ndarray[Any, Any]) -> None:
        self.told.append(("add", label))


def test_given_a_head_that_knows_words_when_folded_then_names_are_no_members(
    history: History, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = Told()
    monkeypatch.setattr(shots, "get_head", lambda kind: type("Kind", (), {"new": staticmethod(lambda options: state)}))
    features = shots.Features(shots.Model.model_validate(trial.task["model"]), {"layers": 3})
    shots.folded(features, trial, history.train[:1], {"card_lost": Input(text="the customer lost the card")})
    assert state.told == [("name", "card_lost"), ("stand", ["card_lost"]), ("add", history.train[0].label)]
