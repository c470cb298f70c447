"""Ours: a whole backtest, with buffer, learner, trainer processes, gate and registry.

CPU seconds are those of everything but scoring the rows: storing, predicting each event before it is learned,
folding, and every trainer process with its start.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import Any

from daemon.backtest import Backtest, Options
from daemon.bench.learning.history import History
from daemon.bench.learning.plan import HEAD_TIMES, Recipe, Trial
from daemon.config.models import Config


def run(trial: Trial, history: History) -> dict[str, Any]:
    """The report's values, by its names."""
    recipe = Recipe(**trial.recipe)
    with tempfile.TemporaryDirectory(prefix="retaind-bench-") as state:
        config = Config.model_validate({"state_dir": state, "tasks": {history.task: configured(trial, recipe)}})
        options = Options(recipe.update_on, gate=recipe.gate, seed=trial.seed, evaluate_every=trial.evaluate_every)
        report = Backtest(config, options).run(history.lines, history.scored_events(trial.on))
    cost = report["cost"]
    kept = ("matrix", "final", "average_incremental", "forgetting", "backward_transfer", "any_time", "updates")
    return {
        **{name: report[name] for name in kept},
        "cpu_s": cost["total_cpu_s"] - cost["evaluate_cpu_s"],
        "trained_samples": cost["trained_samples"],
        "peak_rss_bytes": cost["peak_rss_bytes"],
        "promoted": sum(version["promoted"] for version in report["versions"]),
    }


def configured(trial: Trial, recipe: Recipe) -> Mapping[str, Any]:
    """The task's configuration with the recipe's keys and the trial's learning rate."""
    task = {**trial.task, **recipe.task}
    if trial.rate is not None:
        rates = {"learning_rate": trial.rate, "head_learning_rate": HEAD_TIMES * trial.rate}
        task["training"] = {**task.get("training", {}), **rates}
    return task
