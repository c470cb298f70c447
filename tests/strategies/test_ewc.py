"""Elastic weight consolidation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor

from strategies.base import Example, TrainContext
from strategies.ewc import Ewc
from strategies.ewc_options import EwcOptions
from strategies.fisher import diagonal_fisher
from strategies.specimen import SpecimenContext, SpecimenModel, examples


def ewc(state: Mapping[str, Tensor] | None = None, **options: object) -> Ewc:
    made = Ewc(EwcOptions.model_validate(options))
    if state is not None:
        made.load_state_dict(state)
    return made


def importance(model: SpecimenModel, seed: int = 0) -> dict[str, Tensor]:
    """A Fisher of random numbers."""
    maker = torch.Generator().manual_seed(seed)
    return {name: torch.rand(weights.shape, generator=maker) for name, weights in model.trainable()}


def move(model: SpecimenModel, gradient: float = 0.0) -> dict[str, Tensor]:
    """Move each weight somewhere, give it a gradient; returns where they were."""
    maker = torch.Generator().manual_seed(5)
    start = {name: weights.detach().clone() for name, weights in model.trainable()}
    with torch.no_grad():
        for _, weights in model.trainable():
            weights.add_(torch.randn(weights.shape, generator=maker))
            weights.grad = torch.full_like(weights, gradient)
    return start


def test_the_penaltys_gradient_is_that_of_autograd() -> None:
    # Given a Fisher, and weights that moved away from where the update found them
    model = SpecimenModel(4)
    fisher = importance(model)
    context = SpecimenContext(model, pool=())
    strategy = ewc(fisher, strength=3.0)
    strategy.begin(context)
    start = move(model, gradient=0.5)
    # When gradients are changed, Then what was added is the gradient of λ/2 Σ F (w - w*)²
    strategy.on_gradients(context)
    named = dict(model.trainable())
    penalty = torch.stack([(fisher[n] * (w - start[n]).square()).sum() for n, w in named.items()]).sum() * 3.0 / 2
    expected = torch.autograd.grad(penalty, list(named.values()))
    for weights, gradient in zip(named.values(), expected, strict=True):
        assert weights.grad is not None
        torch.testing.assert_close(weights.grad, gradient + 0.5)


def test_weights_that_mattered_are_pulled_back_and_others_are_free() -> None:
    # Given a head in which one row mattered, one mattered little and one not at all
    model = SpecimenModel(3)
    fisher = {"head.weight": torch.zeros_like(model.head.weight)}
    fisher["head.weight"][0], fisher["head.weight"][1] = 1.0, 0.01
    context = SpecimenContext(model, pool=())
    strategy = ewc(fisher, strength=1.0)
    strategy.begin(context)
    start = move(model)["head.weight"]
    moved = (model.head.weight.detach() - start).abs().sum(1)
    # When the penalty alone is descended, Then each row comes back as far as it mattered
    for _ in range(20):
        model.head.weight.grad = torch.zeros_like(model.head.weight)
        strategy.on_gradients(context)
        with torch.no_grad():
            model.head.weight -= 0.2 * model.head.weight.grad
    left = (model.head.weight.detach() - start).abs().sum(1) / moved
    assert left[0] < 0.02
    assert 0.9 < left[1] < 0.99
    assert left[2] == pytest.approx(1.0)


def update(model: SpecimenModel, strategy: Ewc, parent: SpecimenModel | None = None) -> None:
    """Plain descent on the classes that ``parent`` lacks."""
    context = SpecimenContext(model, pool=(), parent=parent)
    strategy.begin(context)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(60):
        loss = context.task_loss(model.forward(context.new), context.collate(context.new)).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        strategy.on_gradients(context)
        optimiser.step()
    strategy.consolidate(context)


def test_what_was_known_is_kept_while_new_classes_are_learnt() -> None:
    # Given an update with classes that were not there before, with and without the penalty
    old = examples("old", 9, range(3))
    parent, first = SpecimenModel(3), ewc()
    update(parent, first)
    losses = []
    for strength in (0.0, 20.0):
        model = parent.grown(5)
        update(model, ewc(first.state_dict(), strength=strength), parent)
        around = SpecimenContext(model, pool=())
        with torch.no_grad():
            losses.append(float(around.task_loss(model.forward(old), around.collate(old)).mean()))
    # Then the loss on the old classes rises less with it
    assert losses[1] < 0.8 * losses[0]


def test_a_new_class_is_free_and_old_rows_stay_held() -> None:
    # Given a Fisher of three classes, When the label set has grown to five
    fisher = importance(SpecimenModel(3))
    model = SpecimenModel(5)
    context = SpecimenContext(model, pool=())
    strategy = ewc(fisher, strength=1.0)
    strategy.begin(context)
    move(model)
    strategy.on_gradients(context)
    # Then the two new rows, weights and biases, feel nothing
    for weights in (model.head.weight, model.head.bias):
        assert weights.grad is not None
        assert bool((weights.grad[:3] != 0).all())
        assert not weights.grad[3:].any()


def test_one_fisher_runs_through_all_updates() -> None:
    # Given the Fisher of an earlier update, When the next one ends
    model = SpecimenModel(4)
    before = importance(model)
    context = SpecimenContext(model, pool=())
    strategy = ewc(before, decay_ratio=0.5)
    strategy.begin(context)
    strategy.consolidate(context)
    # Then it is γ x the old one + that of the new events, and no larger than before
    fresh = diagonal_fisher(context, context.new)
    state = strategy.state_dict()
    assert state.keys() == before.keys()
    for name, fisher in state.items():
        torch.testing.assert_close(fisher, 0.5 * before[name] + fresh[name])


def test_weights_of_another_shape_or_name_start_afresh() -> None:
    # Given a state that a model of another width left
    model = SpecimenModel(4)
    context = SpecimenContext(model, pool=())
    strategy = ewc({"encoder.weight": torch.ones(16, 5), "head.bias": torch.ones(9), "gone.weight": torch.ones(2)})
    # When an update runs with it, Then nothing is held, and the state is the new model's alone
    strategy.begin(context)
    move(model)
    strategy.on_gradients(context)
    assert not any(weights.grad.any() for _, weights in model.trainable() if weights.grad is not None)
    strategy.consolidate(context)
    assert {name: fisher.shape for name, fisher in strategy.state_dict().items()} == {
        name: weights.shape for name, weights in model.trainable()
    }


@pytest.mark.parametrize(
    ("options", "measured"), [({}, 400), ({"fisher_ratio": 0.02}, 80), ({"max_fisher_examples": 50}, 50)]
)
def test_the_fisher_costs_a_fixed_share_of_the_update(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, object], measured: int
) -> None:
    # Given an update that trains 4,000 examples
    context = SpecimenContext(SpecimenModel(4), pool=())
    context.new, context.total_steps = examples("new", 1000, range(4)), 1000
    seen: list[int] = []

    def measure(_: TrainContext, chosen: Sequence[Example]) -> dict[str, Tensor]:
        seen.append(len(chosen))
        return {}

    monkeypatch.setattr("strategies.ewc.diagonal_fisher", measure)
    # When it ends, Then the Fisher was measured on a tenth of them, or as configured
    ewc(None, **options).consolidate(context)
    assert seen == [measured]
