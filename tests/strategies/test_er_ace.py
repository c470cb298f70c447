"""Asymmetric cross-entropy."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from strategies.base import Batch, Outputs
from strategies.er_ace import ErAce, absent
from strategies.er_ace_options import ErAceOptions
from strategies.specimen import SpecimenContext, SpecimenModel, examples


def around() -> tuple[SpecimenContext, Batch, Outputs]:
    """Three old classes, new ones of which a step has two, and two replayed examples beside three new ones."""
    parent = SpecimenModel(3)
    context = SpecimenContext(parent.grown(6), examples("old", 6, range(3)), parent)
    new = [example for example in context.new if example.target in (3, 5)][:3]
    batch = context.collate([*new, *(replace(example, replayed=True, weight=2.0) for example in context.pool[:2])])
    return context, batch, context.model.forward(batch.examples)


def total(context: SpecimenContext, batch: Batch, outputs: Outputs, **options: float) -> Tensor:
    """The loss that is differentiated: the trainer's weighted mean, and the strategy's term."""
    found = ErAce(ErAceOptions.model_validate(options)).loss(context, batch, outputs)
    plain = (context.task_loss(outputs, batch) * batch.weights).sum() / batch.weights.sum()
    return plain if found is None else plain + found


def test_new_events_compare_with_the_steps_new_classes_and_replayed_ones_with_all() -> None:
    # Given a step whose new events are of classes 3 and 5
    context, batch, outputs = around()
    # Then the whole loss is the paper's: cross-entropy over {3, 5} for new, over all six for replayed ones
    columns = batch.targets[:3].eq(5).long()
    new = cross_entropy(outputs.logits[:3][:, [3, 5]], columns, reduction="none")
    old = cross_entropy(outputs.logits[3:], batch.targets[3:], reduction="none")
    torch.testing.assert_close(total(context, batch, outputs, plain_ratio=0), (new.sum() + 2 * old.sum()) / 7)


def test_new_events_do_not_push_other_classes_outputs_down() -> None:
    # Given the same step, When the loss is differentiated
    context, batch, outputs = around()
    (gradient,) = torch.autograd.grad(total(context, batch, outputs, plain_ratio=0), outputs.logits)
    # Then on new events no class outside the step feels anything; on replayed ones every class does
    assert bool(torch.isfinite(gradient).all())
    assert float(gradient[:3][:, [0, 1, 2, 4]].abs().max()) < 1e-7
    assert bool((gradient[3:] != 0).all())


def test_the_plain_share_is_between_both_losses() -> None:
    context, batch, outputs = around()
    paper, plain = (total(context, batch, outputs, plain_ratio=share) for share in (0.0, 1.0))
    torch.testing.assert_close(plain, (context.task_loss(outputs, batch) * batch.weights).sum() / 7)
    torch.testing.assert_close(total(context, batch, outputs, plain_ratio=0.25), 0.75 * paper + 0.25 * plain)


def test_in_a_first_update_the_loss_is_the_plain_one() -> None:
    context, batch, outputs = around()
    context.old_classes = 0
    assert ErAce(ErAceOptions()).loss(context, batch, outputs) is None


@pytest.mark.parametrize(("share", "learnt"), [(0.0, False), (0.2, True)])
def test_a_class_that_comes_alone_is_learnt_by_the_plain_share(share: float, learnt: bool) -> None:
    # Given an update that brings one class, and replay of three old ones
    parent = SpecimenModel(3)
    model = parent.grown(4)
    context = SpecimenContext(model, examples("old", 6, range(3)), parent)
    strategy = ErAce(ErAceOptions(plain_ratio=share))
    strategy.begin(context)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(200):
        batch = context.collate(strategy.extend(context, context.new))
        outputs = model.forward(batch.examples)
        term = strategy.loss(context, batch, outputs)
        assert term is not None
        loss = (context.task_loss(outputs, batch) * batch.weights).sum() / batch.weights.sum() + term
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    # Then its events are known afterwards with the share, and not without
    assert bool((model.forward(context.new).logits.argmax(1) == 3).all()) is learnt


def test_labels_outside_the_set_and_indicators_are_understood() -> None:
    # Given targets as class numbers, one of a label outside the set, or as indicators of several classes
    assert absent(torch.tensor([2, -100, 0]), 4).tolist() == [False, True, False, True]
    assert absent(torch.tensor([[1.0, 0, 0], [0, 0, 1]]), 3).tolist() == [False, True, False]
