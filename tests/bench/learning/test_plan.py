from __future__ import annotations

from pathlib import Path

import pytest

from daemon.bench.learning import plan
from daemon.bench.learning.plan import DEFAULT, FAST, REPLAY, Plan, Trial
from daemon.errors import ConfigError


def test_trials_are_told_to_a_process_and_read_there() -> None:
    trials = [Trial("ours", FAST, "a", "b", seed=3, task={"head": {"kind": "ncm"}}), Trial("joint", "j", "a", "b")]
    assert plan.load(plan.dump(trials)) == trials


def test_seeds_and_recipes_are_read_from_the_command_line() -> None:
    assert plan.numbers("0,1,2") == (0, 1, 2)
    assert plan.recipe("slow={tune: {kind: full}, training: {epochs: 2}}") == (
        "slow",
        {"tune": {"kind": "full"}, "training": {"epochs": 2}},
    )
    made = Plan(recipes={"slow": {"tune": {"kind": "full"}}})
    assert list(made.ours) == [FAST, REPLAY, DEFAULT, "slow"]


@pytest.mark.parametrize(
    ("given", "message"), [("0,x", "--seeds '0,x': whole numbers"), ("", "--seeds '': whole numbers")]
)
def test_seeds_that_are_none_are_refused(given: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan.numbers(given)


def test_a_recipe_that_is_none_is_refused_naming_what_is_wrong() -> None:
    with pytest.raises(ConfigError, match="--recipe 'slow': NAME="):
        plan.recipe("slow")
    with pytest.raises(ConfigError, match="tune"):
        plan.recipe("slow={tune: {kind: most}}")


def test_a_plan_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="STREAM and --holdout go together"):
        Plan(stream=Path("a"))
    with pytest.raises(ConfigError, match="--seeds 1,1: one or more, each once"):
        Plan(seeds=(1, 1))
    with pytest.raises(ConfigError, match=f"--recipe {DEFAULT}: that name is taken"):
        Plan(recipes={DEFAULT: {}})
