from __future__ import annotations

import pytest

from daemon.bench import training


def test_ours_and_the_trainer_learn_the_same_texts_and_lose_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given our full tune with every weight, and the Trainer without dropout
    update = [training.UPDATE, training.UPDATE_EWC]
    names = [training.FULL, "ours, full with word embeddings", training.PEER, training.BARE_PEER, *update]
    monkeypatch.setattr(training, "WAYS", {name: training.WAYS[name] for name in names})
    # When both learn one batch, a single step
    result = training.measure(8, rounds=1)
    # Then they moved the same weights, began from the same loss but for the head's first values, and are compared
    rows = {row["what"]: row for row in result["rows"]}
    assert rows[names[1]]["weights_that_move"] == rows[training.BARE_PEER]["weights_that_move"]
    assert abs(rows[names[1]]["mean_loss"] - rows[training.BARE_PEER]["mean_loss"]) < 0.3
    assert result["headline"] == rows[training.FULL]["times_trainer"] > 0
    assert rows[training.PEER]["times_trainer"] == 1.0
    # And EWC's share of an update stands beside them
    assert rows[training.UPDATE_EWC]["weights_that_move"] == rows[training.UPDATE]["weights_that_move"]
    assert result["ewc_adds_ratio"] > -1
