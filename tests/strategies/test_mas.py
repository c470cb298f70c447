"""Memory aware synapses."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from strategies.base import Example, Outputs, TrainContext
from strategies.mas import Mas
from strategies.mas_options import MasOptions
from strategies.specimen import SpecimenContext, SpecimenModel


def one_at_a_time(context: TrainContext) -> dict[str, Tensor]:
    """By autograd: the mean over new events of |∂‖f‖²/∂w|."""
    named = dict(context.model.trainable())
    totals = {name: torch.zeros_like(weights) for name, weights in named.items()}
    for example in context.new:
        length = context.model.forward([example]).logits.square().sum()
        for name, gradient in zip(named, torch.autograd.grad(length, list(named.values())), strict=True):
            totals[name] += gradient.abs()
    return {name: total / len(context.new) for name, total in totals.items()}


def importance(context: TrainContext) -> dict[str, Tensor]:
    strategy = Mas(MasOptions(decay_ratio=0))
    strategy.begin(context)
    strategy.consolidate(context)
    return dict(strategy.state_dict())


def test_importance_is_the_mean_magnitude_of_each_events_own_gradient() -> None:
    # Given eight events in batches of four, Then the magnitudes are those of one event at a time
    context = SpecimenContext(SpecimenModel(4), pool=())
    found, expected = importance(context), one_at_a_time(context)
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name])
        assert bool(expected[name].any())


def test_labels_do_not_matter() -> None:
    # Given the same texts with other labels, Then importance is the same
    first, second = (SpecimenContext(SpecimenModel(4), pool=()) for _ in range(2))
    second.new = [dataclasses.replace(example, target=0) for example in second.new]
    found, other = importance(first), importance(second)
    assert all(torch.equal(found[name], other[name]) for name in found)


def test_a_weight_that_no_hook_knows_is_measured_too() -> None:
    # Given a weight outside every layer that a hook knows, added to all outputs
    class Shifted(SpecimenModel):
        def __init__(self, classes: int) -> None:
            super().__init__(classes)
            self.shift = torch.nn.Parameter(torch.full((classes,), 0.3))
            self.scale = torch.nn.Parameter(torch.ones(()))

        def forward(self, examples: Sequence[Example]) -> Outputs:
            outputs = super().forward(examples)
            outputs.logits = (outputs.logits + self.shift) * self.scale
            return outputs

    # Then it is exact too, although its gradient may share memory with others
    context = SpecimenContext(Shifted(4), pool=())
    found, expected = importance(context), one_at_a_time(context)
    for name in ("shift", "scale"):
        torch.testing.assert_close(found[name], expected[name])
