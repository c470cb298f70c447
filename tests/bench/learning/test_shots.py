from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from daemon.bench.learning import shots
from daemon.bench.learning.history import History
from daemon.bench.learning.plan import Trial
from daemon.config.task import Model
from daemon.events import Input


def test_more_shots_hold_the_fewer_and_another_seed_draws_others(history: History) -> None:
    one, three = shots.draw(history.train, 1, 0), shots.draw(history.train, 3, 0)
    assert set(Counter(row.label for row in three).values()) == {3}
    assert set(one) < set(three)
    assert shots.draw(history.train, 3, 1) != three


def test_given_names_and_few_texts_when_measured_then_each_head_has_its_rows(history: History, trial: Trial) -> None:
    found = shots.run(trial, history)["rows"]
    assert [row["shots"] for row in found] == [0, 0, *(n for n in shots.SHOTS for _ in range(4))]
    heads = {(row["head"], row["names"]) for row in found}
    assert heads == {("fast", True), ("fast", False), ("self-taught", True), ("linear", False)}
    assert all(0 <= row["accuracy"] <= 1 for row in found)
    # Our texts say what they are about: a few tell the classes apart, even to a random encoder
    assert found[-1]["accuracy"] > 0.5


def test_given_names_and_one_text_when_folded_then_words_are_no_members_and_descriptions_go_first(
    history: History, trial: Trial
) -> None:
    # Given a description of a class beside the names of two
    task = {**trial.task, "labels": {"descriptions": {"refund_missing": "where is my money"}}}
    features = shots.Features(Model.model_validate(task["model"]), {"layers": 3})
    row = history.train[0]
    # When one text is folded
    state = shots.folded(features, replace(trial, task=task), [row], [row.label, "refund_missing"])
    plain = shots.folded(features, trial, [row], [row.label, "refund_missing"])
    # Then both classes answer, the described one by its description
    assert state.members() == 1
    assert set(state.labels) == {row.label, "refund_missing"}
    asked = features.fast([Input(text="where is my money")])
    place = state.weights().labels.index("refund_missing")
    assert state.weights().probabilities(asked)[0, place] > plain.weights().probabilities(asked)[0, place]
    # And without names only what has members does
    assert shots.folded(features, trial, [row], ()).labels == (row.label,)


def test_given_texts_without_a_label_when_sure_of_some_then_those_alone_are_members_as_answered(
    history: History, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given two texts a class, and the others without their labels
    features = shots.Features(Model.model_validate(trial.task["model"]), {"layers": 3})
    shown = shots.draw(history.train, 2, 0)
    others = shots.unlabelled(history.train, shown, 0)
    state = shots.folded(features, trial, shown, history.labels)
    before = state.members()
    shots.teach_itself(features, state, ())
    assert state.members() == before
    answers = state.weights().probabilities(features.fast([row.input for row in others]))
    # When the line lies between the surest and the least sure answer
    line = float(np.median(answers.max(1)))
    monkeypatch.setattr(shots, "SURE", line)
    shots.teach_itself(features, state, others)
    # Then the surer half is in, and no shown row twice
    assert not set(others) & set(shown)
    assert state.members() == before + int((answers.max(1) >= line).sum())
    assert before < state.members() < before + len(others)
