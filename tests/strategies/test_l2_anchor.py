"""L2-SP."""

from __future__ import annotations

import torch

from strategies.l2_anchor import L2Anchor
from strategies.l2_anchor_options import L2AnchorOptions
from strategies.specimen import SpecimenContext, SpecimenModel


def test_old_weights_are_pulled_to_the_parents_and_new_rows_to_zero() -> None:
    # Given three classes that the parent had and two new ones, and weights that moved by 1
    parent = SpecimenModel(3)
    model = parent.grown(5)
    context = SpecimenContext(model, pool=(), parent=parent)
    strategy = L2Anchor(L2AnchorOptions(strength=0.5, new_strength=0.25))
    strategy.begin(context)
    with torch.no_grad():
        for _, weights in model.trainable():
            weights.add_(1.0)
            weights.grad = torch.ones_like(weights)
    # When gradients are changed, Then each old weight's grew by α x 1, a new row's by β x its weight
    strategy.on_gradients(context)
    for name, weights in model.trainable():
        assert weights.grad is not None
        old = 3 if name.startswith("head.") else len(weights)
        torch.testing.assert_close(weights.grad[:old], torch.full_like(weights[:old], 1.5))
        torch.testing.assert_close(weights.grad[old:], 1 + 0.25 * weights.detach()[old:])


def test_weights_that_nothing_moves_are_left_alone() -> None:
    # Given weights without a gradient, Then none is made
    model = SpecimenModel(3)
    context = SpecimenContext(model, pool=())
    strategy = L2Anchor(L2AnchorOptions())
    strategy.begin(context)
    strategy.on_gradients(context)
    assert all(weights.grad is None for _, weights in model.trainable())
