"""Synaptic intelligence."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from strategies.si import Si
from strategies.si_options import SiOptions
from strategies.specimen import SpecimenContext, SpecimenModel, examples


def descend(model: SpecimenModel, strategy: Si, steps: int, rate: float) -> tuple[list[float], list[dict[str, Tensor]]]:
    """Plain descent on one batch; the loss before each step and at the end, and where weights were then."""
    context = SpecimenContext(model, pool=())
    strategy.begin(context)
    losses, places = [], []
    batch = context.collate(context.new)
    for step in range(steps + 1):
        loss = context.task_loss(model.forward(context.new), batch).mean()
        losses.append(float(loss.detach()))
        places.append({name: weights.detach().clone() for name, weights in model.trainable()})
        model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        strategy.on_gradients(context)
        if step < steps:
            with torch.no_grad():
                for weights in model.parameters():
                    assert weights.grad is not None
                    weights.sub_(rate * weights.grad)
    strategy.consolidate(context)
    return losses, places


def test_what_weights_did_adds_up_to_the_fall_of_the_loss() -> None:
    # Given many small steps, and a damping beside which no weight's way counts, so that Ω ξ is ω
    model, strategy = SpecimenModel(3), Si(SiOptions(damping=1e6, decay_ratio=0))
    losses, _ = descend(model, strategy, steps=400, rate=0.01)
    # Then over all weights ω is what the loss fell by (path integral of the gradient)
    done = sum(float(importance.sum()) for importance in strategy.state_dict().values()) * 1e6
    assert losses[0] - losses[-1] > 0.3
    assert done == pytest.approx(losses[0] - losses[-1], rel=0.02)


def test_importance_is_the_work_by_the_square_of_the_way() -> None:
    # Given one step of plain descent, whose work is rate x g² on a way of rate x g
    model, strategy = SpecimenModel(3), Si(SiOptions(damping=0.01, decay_ratio=0))
    _, places = descend(model, strategy, steps=1, rate=0.1)
    # Then Ω = g Δ / (Δ² + ξ), for each weight
    for name, importance in strategy.state_dict().items():
        way = places[1][name] - places[0][name]
        torch.testing.assert_close(importance, way.square() / 0.1 / (way.square() + 0.01))


def test_a_weight_that_worked_against_the_loss_is_not_important() -> None:
    # Given steps up instead of down, Then importance is 0 and not below
    model, strategy = SpecimenModel(3), Si(SiOptions())
    descend(model, strategy, steps=3, rate=-0.1)
    assert all(not importance.any() for importance in strategy.state_dict().values())


def test_weights_that_are_put_back_afterwards_change_nothing() -> None:
    # Given two trainings alike, When one's weights are set to something else before it looks back
    states = []
    for put_back in (False, True):
        model, strategy = SpecimenModel(3), Si(SiOptions())
        context = SpecimenContext(model, pool=())
        strategy.begin(context)
        for step in range(3):
            for weights in model.parameters():
                weights.grad = torch.ones_like(weights)
            strategy.on_gradients(context)
            with torch.no_grad():
                for weights in model.parameters():
                    weights.sub_(0.1 * (step + 1))
        if put_back:
            with torch.no_grad():
                for weights in model.parameters():
                    weights.zero_()
        strategy.consolidate(context)
        states.append(strategy.state_dict())
    # Then what it found is the same: ω = 0.1 + 0.2, Δ = 0.3
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    expected = torch.full_like(states[0]["head.bias"], 0.3 / (0.3**2 + 0.001))
    torch.testing.assert_close(states[0]["head.bias"], expected)


def test_its_own_penalty_does_not_count_as_the_losss_gradient() -> None:
    # Given importance from before and weights far from the anchor, When the loss itself has no gradient
    model = SpecimenModel(3)
    strategy = Si(SiOptions(strength=5.0, decay_ratio=0))
    strategy.load_state_dict({name: torch.ones_like(weights) for name, weights in model.trainable()})
    context = SpecimenContext(model, pool=())
    strategy.begin(context)
    for _ in range(3):
        for weights in model.parameters():
            weights.grad = torch.zeros_like(weights)
        strategy.on_gradients(context)
        with torch.no_grad():
            for weights in model.parameters():
                weights.add_(0.1)
    strategy.consolidate(context)
    # Then it pulled, and found nothing important
    assert model.head.bias.grad is not None
    torch.testing.assert_close(model.head.bias.grad, torch.full((3,), 5.0 * 0.2))
    assert all(not importance.any() for importance in strategy.state_dict().values())


def test_what_was_known_is_kept_while_new_classes_are_learnt() -> None:
    # Given a first update, and a second with classes that were not there before, with and without the penalty
    old = examples("old", 9, range(3))
    parent, first = SpecimenModel(3), Si(SiOptions())
    descend(parent, first, steps=60, rate=0.1)
    losses = []
    for strength in (0.0, 1.0):
        model, strategy = parent.grown(5), Si(SiOptions(strength=strength))
        strategy.load_state_dict(first.state_dict())
        context = SpecimenContext(model, pool=(), parent=parent)
        strategy.begin(context)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(60):
            loss = context.task_loss(model.forward(context.new), context.collate(context.new)).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            strategy.on_gradients(context)
            optimiser.step()
        with torch.no_grad():
            losses.append(float(context.task_loss(model.forward(old), context.collate(old)).mean()))
    # Then the loss on the old classes rises less with it
    assert losses[1] < 0.8 * losses[0]
