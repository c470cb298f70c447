"""Averaged gradient episodic memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from strategies.agem import Agem, project
from strategies.agem_options import AgemOptions
from strategies.base import Example, Outputs, PlanStats, PoolRequest
from strategies.specimen import SpecimenContext, SpecimenModel, examples


def weights(*gradients: Sequence[float]) -> list[Tensor]:
    made = [nn.Parameter(torch.zeros(len(gradient))) for gradient in gradients]
    for tensor, gradient in zip(made, gradients, strict=True):
        tensor.grad = torch.tensor(gradient)
    return list(made)


def test_a_gradient_against_the_reference_is_projected_on_the_plane_beside_it() -> None:
    # Given a gradient and a reference over two weights, whose product is below 0 although one weight's is not
    moving = weights([1.0, 2.0], [-3.0])
    reference = [torch.tensor([1.0, 0.0]), torch.tensor([2.0])]
    project(moving, reference)
    # Then g becomes g - (g·r / r·r) r, with g·r = -5 and r·r = 5, which stands at right angles to r
    found = [tensor.grad for tensor in moving]
    torch.testing.assert_close(found, [torch.tensor([2.0, 2.0]), torch.tensor([-1.0])])


def test_a_gradient_that_agrees_with_the_reference_is_left_alone() -> None:
    moving = weights([1.0, 2.0], [3.0])
    project(moving, [torch.tensor([1.0, 0.0]), torch.tensor([2.0])])
    assert [tensor.grad.tolist() for tensor in moving if tensor.grad is not None] == [[1.0, 2.0], [3.0]]


def test_a_reference_of_nothing_and_weights_without_gradient_change_nothing() -> None:
    moving = weights([1.0])
    still = nn.Parameter(torch.zeros(1))
    project([*moving, still], [torch.zeros(1), torch.ones(1)])
    assert moving[0].grad is not None
    assert moving[0].grad.tolist() == [1.0]
    assert still.grad is None


class Counted(SpecimenModel):
    seen: list[Sequence[Example]]

    def forward(self, examples: Sequence[Example]) -> Outputs:
        self.__dict__.setdefault("seen", []).append(examples)
        return super().forward(examples)


def around(**options: float) -> tuple[SpecimenContext, Counted, Agem]:
    parent = SpecimenModel(3)
    model = Counted(5)
    model.load_state_dict(parent.grown(5).state_dict())
    context = SpecimenContext(model, examples("old", 12, range(3)), parent)
    strategy = Agem(AgemOptions.model_validate(options))
    strategy.begin(context)
    return context, model, strategy


def backward(context: SpecimenContext, chosen: Sequence[Example]) -> None:
    context.model.zero_grad()  # type: ignore[attr-defined]
    loss = context.task_loss(context.model.forward(chosen), context.collate(chosen)).mean()
    loss.backward()  # type: ignore[no-untyped-call]


def test_after_it_no_step_points_against_the_memorys_gradient() -> None:
    # Given a step on classes that are new, whose gradient would undo the old ones
    context, model, strategy = around()
    batch = strategy.extend(context, context.new[:4])
    assert list(batch) == list(context.new[:4])
    backward(context, batch)
    before = [tensor.grad.clone() for tensor in model.parameters() if tensor.grad is not None]
    model.seen.clear()
    # When gradients are changed, Then four stored events were asked, as many as there are new ones
    strategy.on_gradients(context)
    (reference,) = model.seen
    assert len(reference) == 4
    assert {example.event_id for example in reference} <= {example.event_id for example in context.pool}
    # and g·r, which was below 0, is 0
    after = [tensor.grad.clone() for tensor in model.parameters() if tensor.grad is not None]
    backward(context, reference)
    against = [tensor.grad for tensor in model.parameters() if tensor.grad is not None]
    first, second = (
        sum(float((one * other).sum()) for one, other in zip(side, against, strict=True)) for side in (before, after)
    )
    assert first < -1e-3
    assert second == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("interval", "references"), [(1, 4), (2, 2), (9, 1)])
def test_the_reference_is_taken_at_every_so_many_th_step(interval: int, references: int) -> None:
    # Given four steps, Then the memory is asked at every ``interval``-th
    context, model, strategy = around(interval=interval)
    asked = 0
    for step in range(4):
        context.step = step
        backward(context, strategy.extend(context, context.new[:4]))
        model.seen.clear()
        strategy.on_gradients(context)
        asked += len(model.seen)
    assert asked == references


def test_other_strategies_replayed_events_ask_for_no_more_of_them() -> None:
    # Given a step that replay has doubled, Then the reference is as large as its new events ask for
    context, model, strategy = around(ratio=0.5)
    batch = [*context.new[:4], *(replace(example, replayed=True) for example in context.pool[:4])]
    backward(context, strategy.extend(context, batch))
    model.seen.clear()
    strategy.on_gradients(context)
    assert [len(seen) for seen in model.seen] == [2]


def test_it_plans_as_replay_does() -> None:
    assert Agem(AgemOptions(ratio=0.5)).plan(PlanStats(100, 10**9, {}, 4, 32, 0)) == (PoolRequest(200, "balanced"),)
    assert Agem(AgemOptions()).plan(PlanStats(100, 0, {}, 4, 32, 0)) == ()
