"""Groups and schedule."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from daemon.config.task import Training
from daemon.errors import TrainingError
from daemon.training.optimiser import make_optimiser, make_schedule, rate


def named() -> list[tuple[str, nn.Parameter]]:
    shapes = {"encoder.w": (3, 3), "encoder.norm": (3,), "head.weight": (2, 3), "head.bias": (2,)}
    return [(name, nn.Parameter(torch.ones(shape))) for name, shape in shapes.items()]


def test_the_head_has_its_own_rate_and_one_dimension_does_not_decay() -> None:
    # Given an encoder and a head, When the optimiser is made
    groups = make_optimiser(named(), Training(learning_rate=0.001, head_learning_rate=0.1)).param_groups
    # Then rates go by part and decay by number of dimensions; it is the fused form
    found = {(group["lr"], group["weight_decay"], group["params"][0].dim()) for group in groups}
    assert found == {(0.001, 0.01, 2), (0.001, 0.0, 1), (0.1, 0.01, 2), (0.1, 0.0, 1)}
    assert all(group["fused"] for group in groups)


def test_nothing_that_moves_is_an_error() -> None:
    # Given no trainable weight, Then it is said, not passed over
    with pytest.raises(TrainingError, match="no weight of the model moves"):
        make_optimiser([], Training())


def test_the_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    # Given 10 steps with a fifth of warm-up
    rates = [rate(step, 10, 0.2) for step in range(11)]
    # Then it is half, whole, and falls linearly to 0 after the last step; no step has rate 0
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates == [0.5, *sorted(rates[1:], reverse=True)]
    assert rates[-1] == 0
    assert all(value > 0 for value in rates[:-1])


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.0), (1, 0.1), (1, 1.0), (3, 1.0)])
def test_short_trainings_step_at_some_rate(steps: int, warmup: float) -> None:
    # Given very few steps, Then each has a rate above 0 and none above the peak
    assert all(0 < rate(step, steps, warmup) <= 1 for step in range(steps))


def test_the_schedule_scales_every_group() -> None:
    # Given a schedule, When two steps were taken, Then each group has its share of its own peak
    optimiser = make_optimiser(named(), Training(learning_rate=0.001, head_learning_rate=0.1))
    schedule = make_schedule(optimiser, 4, 0.0)
    for _ in range(2):
        optimiser.step()
        schedule.step()
    assert sorted({round(group["lr"], 9) for group in optimiser.param_groups}) == [0.0005, 0.05]
