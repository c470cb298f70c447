from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from daemon.backtest import Options
from daemon.bench.learning import ours, run
from daemon.bench.learning.history import History, write_own
from daemon.bench.learning.plan import DEFAULT, FAST, JOINT, OURS, PEERS, RATES, REPLAY, Plan, Recipe, Trial
from daemon.cli.bench import markdown
from daemon.config.task import TaskConfig
from daemon.errors import ConfigError

SPLIT = {"split": {"validation_ratio": 0.2, "holdout_ratio": 0.1, "min_train_rows": 2}}


class Measuring:
    """Answers trials at once: by its kind, its rate and its seed."""

    def __init__(self) -> None:
        self.asked: list[Trial] = []
        self.calls = 0

    def __call__(self, *trials: Trial) -> list[Mapping[str, Any]]:
        self.asked += trials
        self.calls += 1
        return [self._found(trial) for trial in trials]

    @staticmethod
    def _found(trial: Trial) -> Mapping[str, Any]:
        if trial.kind == "shots":
            return {"rows": [{"head": "fast", "shots": 0, "names": True, "accuracy": 0.5}], "peak_rss_bytes": 1}
        final = 0.8 + 0.01 * trial.seed + (0.05 if trial.kind == "joint" else 0.0)
        if trial.on == "validation":
            final = {RATES[0]: 0.6, RATES[1]: 0.9, RATES[2]: 0.9}[trial.rate or 0]
        cost = {"cpu_s": 2.0, "trained_samples": 5, "peak_rss_bytes": 1_000_000}
        curve = {} if trial.kind == "joint" else {"any_time": {"all": 0.7, "young": 0.6, "curve": [(10, 0.5, None)]}}
        return {"final": final, **cost, **curve}


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> Measuring:
    made = Measuring()
    monkeypatch.setattr(run, "measure", made)
    return made


def test_given_three_seeds_when_measured_then_rates_are_chosen_once_and_the_headline_is_paired(
    tmp_path: Path, measuring: Measuring
) -> None:
    stream, holdout = write_own(tmp_path, 4, 20, 2, 2)
    svg = tmp_path / "learning.svg"
    result = run.run(False, Plan(stream, holdout, task=SPLIT, svg=svg))
    # Then every learner that trains tried each rate on the validation rows of the first seed, ours too
    tried = [trial for trial in measuring.asked if trial.on == "validation"]
    learners = {REPLAY, DEFAULT, JOINT, *PEERS}
    assert {trial.name for trial in tried} == learners
    assert {trial.seed for trial in tried} == {0}
    assert len(tried) == len(learners) * len(RATES)
    # And is measured on each seed with the best, the lower one where two are level
    measured = [trial for trial in measuring.asked if trial.on == "holdout" and trial.kind != "shots"]
    assert {trial.rate for trial in measured if trial.name in learners} == {RATES[1]}
    assert {trial.rate for trial in measured if trial.name == FAST} == {None}
    assert sorted(trial.seed for trial in measured if trial.name == DEFAULT) == [0, 1, 2]
    # And the headline is the difference by seed, in points
    assert result["headline"] == -5.0
    assert "± 0.00, paired by seed" in result["unit"]
    # And the table has all of them, with what they cost
    assert [row["what"] for row in result["rows"]] == [*OURS, *(f"Avalanche {name}" for name in PEERS), JOINT]
    assert result["rows"][0]["final"] == "0.810 ± 0.025"
    assert result["rows"][-1]["any_time"] == ""
    assert result["cpu_s_choosing_rates"] == 2 * len(tried)
    assert len(result["details"]["runs"][DEFAULT]) == 3
    assert "Few labels" in markdown("learning", result)
    assert "details" not in markdown("learning", result)
    assert svg.read_text().startswith("<svg")


def test_given_a_stream_without_validation_rows_when_asked_then_it_says_what_helps(
    files: tuple[Path, Path], measuring: Measuring
) -> None:
    with pytest.raises(ConfigError, match="none of its 32 events is kept for validation"):
        run.run(False, Plan(*files))
    assert not measuring.asked


def test_given_quick_when_measured_then_one_process_plays_the_first_groups_thinned(
    tmp_path: Path, measuring: Measuring
) -> None:
    stream, holdout = write_own(tmp_path, 9, 40, 20, 3)
    result = run.run(True, Plan(stream, holdout, recipes={"slow": {"tune": {"kind": "full"}}}))
    assert [row["what"] for row in result["rows"]] == [FAST, DEFAULT, "slow", "Avalanche Replay", JOINT]
    assert (result["groups"], result["seeds"], result["rates_tried"]) == (2, [0], [])
    assert result["events"] <= 2 * run.QUICK_CUT
    assert measuring.calls == 1


def test_ours_and_the_peers_are_scored_as_often_as_a_backtest_does() -> None:
    assert Trial("ours", "", "a", "b").evaluate_every == Options().evaluate_every


def test_ours_is_configured_by_task_recipe_and_rate() -> None:
    trial = Trial("ours", "", "a", "b", rate=0.0002, task={"training": {"epochs": 3}, "tune": {"kind": "head"}})
    made = TaskConfig.model_validate(ours.configured(trial, Recipe(task={"head": {"kind": "none"}})))
    assert (made.head.kind, made.tune.kind, made.training.epochs) == ("none", "head", 3)
    assert (made.training.learning_rate, made.training.head_learning_rate) == (0.0002, 0.002)


def test_given_the_fast_head_alone_when_played_then_the_reports_values_and_costs_are_told(
    trial: Trial, history: History
) -> None:
    found = ours.run(replace(trial, recipe=asdict(OURS[FAST])), history)
    assert (found["updates"], found["trained_samples"]) == (0, 0)
    assert len(found["matrix"]) == 2
    assert [played for played, *_ in found["any_time"]["curve"]] == [5, 10, 15, 16, 20, 25, 30, 32]
    assert found["cpu_s"] > 0


@pytest.mark.chaos
def test_given_our_own_texts_and_a_small_encoder_when_run_quickly_then_all_is_really_measured(trial: Trial) -> None:
    result = run.run(True, Plan(task={**trial.task, "tune": {"kind": "head"}}))
    rows = {row["what"]: row for row in result["rows"]}
    assert set(rows) == {FAST, DEFAULT, "Avalanche Replay", JOINT}
    # The default recipe's trigger fired once, in a trainer process
    assert [run["updates"] for run in result["details"]["runs"][DEFAULT]] == [1]
    assert rows[DEFAULT]["trained_samples"] > 0
    assert all(float(row["final"]) > 0 for row in rows.values())
    few = result["tables"]["Few labels: accuracy by texts a class, encoder frozen"]
    assert [row["texts_a_class"] for row in few] == [0, 1, 3, 5, 10]
