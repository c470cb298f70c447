"""Avalanche's strategies and joint training, on a small random encoder."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from daemon.bench.learning import joint
from daemon.bench.learning.child import TrialFailed, measure
from daemon.bench.learning.classifier import FILL, classifier, judge, table, training
from daemon.bench.learning.history import History
from daemon.bench.learning.plan import PEERS, Trial
from strategies.base import Example


@pytest.mark.slow
def test_given_avalanches_strategies_when_they_learn_group_after_group_then_each_is_scored_and_counted(
    trial: Trial, history: History
) -> None:
    # When all learn, and joint training, in one process
    trials = [replace(trial, kind="avalanche", name=name) for name in PEERS]
    *peers, upper = measure(*trials, replace(trial, kind="joint", name="joint"))
    found: dict[str, dict[str, Any]] = dict(zip(PEERS, peers, strict=True))
    # Then each has the values of a backtest, and what it cost
    for result in found.values():
        assert [[value is not None for value in row] for row in result["matrix"]] == [[True, False], [True, True]]
        assert result["any_time"]["curve"][-1][0] == len(history.lines)
        assert result["cpu_s"] > 0
        assert result["peak_rss_bytes"] > 1e8
    # And they forwarded the train rows once an epoch, those with a memory more
    rows = trial.epochs * len(history.train)
    trained = {name: result["trained_samples"] for name, result in found.items()}
    assert trained["Naive"] == upper["trained_samples"] == rows
    assert min(trained["Replay"], trained["DER"]) > rows
    # And without a memory the first group is forgotten, while joint training has nothing to forget
    assert found["Naive"]["forgetting"] > 0.5
    assert min(found["Replay"]["final"], found["DER"]["final"], upper["final"]) > found["Naive"]["final"]
    assert "matrix" not in upper


def test_given_a_trial_that_fails_when_measured_then_its_last_words_are_told(trial: Trial) -> None:
    broken = replace(trial, kind="joint", name="broken", stream="/nonexistent")
    with pytest.raises(TrialFailed, match=r"broken \(seed 0\): ended with status 1: .*(.|\n)*/nonexistent"):
        measure(broken)


def test_the_peers_model_reads_rows_as_a_packed_batch_would(trial: Trial) -> None:
    # Given texts of different lengths in one table
    model = classifier(trial, 3).eval()
    examples = [Example("a", (101, 2003, 102), 0), Example("b", (101, 4003, 4004, 4005, 102), 1)]
    ids = table(examples)
    assert ids.shape == (2, 5)
    assert ids[0].tolist()[3:] == [FILL, FILL]
    # Then what fills a row up changes nothing
    with torch.inference_mode():
        alone = model(table(examples[:1]))
        torch.testing.assert_close(model(ids)[:1], alone)
    # And what does not move is no parameter
    assert not [name for name, _ in model.named_parameters() if "word_embeddings" in name]
    assert all(weights.requires_grad for weights in model.parameters())


def test_an_answer_is_chosen_among_the_classes_seen(trial: Trial) -> None:
    model = classifier(trial, 3)
    with torch.no_grad():
        weights = dict(model.head.named_parameters())
        weights["bias"].copy_(torch.tensor([0.0, 50.0, 100.0]))
    examples = [Example(str(target), (101, 2003, 102), target) for target in (0, 1, 2)]
    assert judge(model, examples, [0, 1]).tolist() == [0, 1, 0]
    assert judge(model, examples, [0, 1, 2]).tolist() == [0, 0, 1]
    assert model.training


def test_joint_training_learns_all_rows_at_once(trial: Trial, history: History) -> None:
    found = joint.run(trial, history)
    assert found["trained_samples"] == trial.epochs * len(history.train)
    assert found["updates"] == 1
    # The configured way to train, but for rate and epochs
    settings = training(trial)
    assert (settings.batch_size, settings.learning_rate, settings.head_learning_rate) == (4, 0.005, 0.05)
