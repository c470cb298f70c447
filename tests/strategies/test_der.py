"""Dark experience replay ++."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from strategies.base import Batch, Example, Outputs
from strategies.der import DerPlusPlus
from strategies.der_options import DerOptions
from strategies.specimen import SpecimenContext, SpecimenModel, examples


def around() -> tuple[SpecimenContext, SpecimenModel]:
    """A model that has moved away from its parent, and the parent."""
    parent = SpecimenModel(3)
    model = parent.grown(5)
    with torch.no_grad():
        model.head.weight.add_(torch.randn(5, 6, generator=torch.Generator().manual_seed(3)))
    return SpecimenContext(model, examples("old", 6, range(3)), parent), parent


def step(context: SpecimenContext, weight: float = 1.0) -> Sequence[Example]:
    """Three new examples and two replayed ones."""
    return [*context.new[:3], *(replace(example, replayed=True, weight=weight) for example in context.pool[:2])]


def term(context: SpecimenContext, batch: Batch, **options: float) -> tuple[Outputs, Tensor | None]:
    strategy = DerPlusPlus(DerOptions.model_validate(options))
    strategy.begin(context)
    outputs = context.model.forward(batch.examples)
    return outputs, strategy.loss(context, batch, outputs)


def test_replayed_examples_are_drawn_to_the_parents_logits_on_the_classes_that_it_knew() -> None:
    # Given three new and two replayed examples of weight 2, at α = 0.3
    context, parent = around()
    batch = context.collate(step(context, weight=2.0))
    outputs, found = term(context, batch, strength=0.3)
    assert found is not None
    # Then the term is α Σ w ‖h - z‖²/C over replayed ones ÷ the weight of the whole batch
    with torch.no_grad():
        logits = parent.forward(batch.examples[3:]).logits
    apart = (outputs.logits[3:, :3] - logits).square().sum(1) / 3
    torch.testing.assert_close(found, 0.3 * (2 * apart).sum() / 7)
    # and its gradient leaves new examples, and new classes, alone
    (gradient,) = torch.autograd.grad(found, outputs.logits)
    torch.testing.assert_close(gradient[3:, :3], 0.3 * 2 * 2 / 3 / 7 * (outputs.logits[3:, :3] - logits).detach())
    assert not gradient[:3].any()
    assert not gradient[:, 3:].any()


@pytest.mark.parametrize("beta", [0.0, 0.5, 2.0])
def test_a_replayed_events_label_weighs_beta(beta: float) -> None:
    # Given the trainer's weighted mean of the task's loss, When β's term is added at α = 0
    context, _ = around()
    batch = context.collate(step(context, weight=2.0))
    outputs, found = term(context, batch, strength=0.0, label_strength=beta)
    assert found is not None
    losses = context.task_loss(outputs, batch) * batch.weights
    # Then a replayed example's loss counts β times, a new one's once
    torch.testing.assert_close(losses.sum() / 7 + found, (losses[:3].sum() + beta * losses[3:].sum()) / 7)


def test_without_replayed_examples_or_old_classes_there_is_no_term() -> None:
    context, _ = around()
    assert term(context, context.collate(context.new[:3]))[1] is None
    context.old_classes = 0
    assert term(context, context.collate(step(context)))[1] is None


class ByToken(SpecimenModel):
    """A row of logits for each token."""

    def forward(self, examples: Sequence[Example]) -> Outputs:
        outputs = super().forward(examples)
        assert outputs.hidden is not None
        return Outputs(outputs.pooled, self.head(outputs.hidden), outputs.lengths, outputs.hidden)


def test_rows_by_token_are_averaged_by_example() -> None:
    # Given a task with a row of logits for each token
    parent, model = ByToken(3), ByToken(5)
    context = SpecimenContext(model, examples("old", 6, range(3)), parent)
    batch = context.collate(step(context))
    outputs, found = term(context, batch, strength=1.0)
    # Then each replayed text counts the mean over its tokens
    tokens = sum(outputs.lengths[:3])
    with torch.no_grad():
        logits = parent.forward(batch.examples[3:]).logits
    apart = (outputs.logits[tokens:, :3] - logits).square().mean(1)
    parts = torch.split(apart, list(outputs.lengths[3:]))
    assert found is not None
    torch.testing.assert_close(found, torch.stack([part.mean() for part in parts]).sum() / 5)
