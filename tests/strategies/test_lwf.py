"""Learning without forgetting."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch.nn.functional import cross_entropy

from strategies.base import Batch, Example, Outputs
from strategies.lwf import Lwf
from strategies.lwf_options import LwfOptions
from strategies.specimen import SpecimenContext, SpecimenModel, examples


class Counted(SpecimenModel):
    asked = 0

    def forward(self, examples: Sequence[Example]) -> Outputs:
        self.asked += len(examples)
        return super().forward(examples)


def around(old: int = 3) -> tuple[SpecimenContext, Counted]:
    """A model that has moved away from its parent, and the parent."""
    parent = Counted(old)
    with torch.no_grad():
        parent.head.weight.mul_(20)
    model = parent.grown(5)
    with torch.no_grad():
        model.head.weight.add_(torch.randn(5, 6, generator=torch.Generator().manual_seed(3)))
    return SpecimenContext(model, examples("old", 6, range(old)), parent), parent


def term(context: SpecimenContext, batch: Batch, **options: float) -> tuple[Outputs, torch.Tensor]:
    strategy = Lwf(LwfOptions.model_validate(options))
    strategy.begin(context)
    outputs = context.model.forward(batch.examples)
    found = strategy.loss(context, batch, outputs)
    assert found is not None
    return outputs, found


def test_its_gradient_is_that_of_cross_entropy_with_the_parents_soft_answer() -> None:
    # Given a model and its parent, which knew three of five classes
    context, parent = around()
    batch = context.collate(context.new)
    # When the term is differentiated at λ = 0.7, T = 2
    outputs, found = term(context, batch, strength=0.7, temperature=2.0)
    (gradient,) = torch.autograd.grad(found, outputs.logits, retain_graph=True)
    # Then it is λ T² x the gradient of the paper's -Σ p log q, over old classes; new ones feel nothing
    with torch.no_grad():
        soft = (parent.forward(batch.examples).logits / 2).softmax(-1)
    paper = 0.7 * 4 * cross_entropy(outputs.logits[:, :3] / 2, soft)
    (expected,) = torch.autograd.grad(paper, outputs.logits)
    torch.testing.assert_close(gradient, expected)
    assert not gradient[:, 3:].any()
    assert bool(gradient[:, :3].any())


def test_where_both_say_the_same_there_is_nothing_to_lose() -> None:
    # Given a model that has not moved yet, Then the term is 0, whatever its new rows say
    parent = SpecimenModel(3)
    context = SpecimenContext(parent.grown(5), (), parent)
    _, found = term(context, context.collate(context.new))
    assert float(found.detach()) == pytest.approx(0, abs=1e-6)


def test_examples_weigh_as_in_the_tasks_loss() -> None:
    # Given one example with weight 0 beside one with weight 2, Then the term is the second one's
    context, _ = around()
    one, other = context.new[:2]
    light, heavy = (Example(e.event_id, e.token_ids, e.target, weight=w) for e, w in ((one, 0.0), (other, 2.0)))
    _, both = term(context, context.collate([light, heavy]))
    _, alone = term(context, context.collate([other]))
    torch.testing.assert_close(both, alone)


def test_the_parent_is_asked_once_for_each_event() -> None:
    # Given three steps, with events that come again
    context, parent = around()
    strategy = Lwf(LwfOptions())
    strategy.begin(context)
    for chosen in (context.new[:4], context.new[2:8], [*context.new, *context.pool]):
        batch = context.collate(chosen)
        strategy.loss(context, batch, context.model.forward(chosen))
    # Then it answered to each once
    assert parent.asked == len(context.new) + len(context.pool)


@pytest.mark.parametrize("old", [0, 1])
def test_without_two_classes_to_choose_among_there_is_no_term(old: int) -> None:
    # Given a parent that knew no class (or one), Then nothing is added, and it is not asked
    context, parent = around() if old else (SpecimenContext(SpecimenModel(3), ()), Counted(1))
    context.old_classes = old
    batch = context.collate(context.new)
    assert Lwf(LwfOptions()).loss(context, batch, context.model.forward(batch.examples)) is None
    assert parent.asked == 0
