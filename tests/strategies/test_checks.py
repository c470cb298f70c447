"""check_strategy finds what breaks the protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest
import torch
from torch import Tensor

from strategies.base import BaseStrategy, Batch, Example, Outputs, PlanStats, PoolRequest, TrainContext
from strategies.checks import CheckFailed, check_strategy


class Greedy(BaseStrategy):
    def plan(self, stats: PlanStats) -> Sequence[PoolRequest]:
        return (PoolRequest(5000),)


class InFront(BaseStrategy):
    def extend(self, context: TrainContext, batch: Sequence[Example]) -> Sequence[Example]:
        return [*context.pool[:1], *batch] if context.pool else batch


class Unmarked(BaseStrategy):
    def extend(self, context: TrainContext, batch: Sequence[Example]) -> Sequence[Example]:
        return [*batch, *context.pool[:1]]


class Vector(BaseStrategy):
    def loss(self, context: TrainContext, batch: Batch, outputs: Outputs) -> Tensor | None:
        return outputs.logits.sum(1)


class NotFinite(BaseStrategy):
    def loss(self, context: TrainContext, batch: Batch, outputs: Outputs) -> Tensor | None:
        return outputs.logits.sum() * float("nan")


class Backward(BaseStrategy):
    def loss(self, context: TrainContext, batch: Batch, outputs: Outputs) -> Tensor | None:
        outputs.logits.sum().backward(retain_graph=True)  # type: ignore[no-untyped-call]
        return None


class Forgetful(BaseStrategy):
    def __init__(self) -> None:
        self._steps = torch.zeros(1)

    def on_gradients(self, context: TrainContext) -> None:
        self._steps += 1

    def state_dict(self) -> Mapping[str, Tensor]:
        return {"steps": self._steps}


class Shuffler(BaseStrategy):
    def begin(self, context: TrainContext) -> None:
        context.pool = list(context.pool)[::-1]


class Unseeded(BaseStrategy):
    def loss(self, context: TrainContext, batch: Batch, outputs: Outputs) -> Tensor | None:
        return outputs.logits.mean() * float(torch.rand(()))


class Trampler(BaseStrategy):
    def consolidate(self, context: TrainContext) -> None:
        for _, weights in context.model.trainable():
            weights.grad = torch.zeros_like(weights)


class Freezer(BaseStrategy):
    def consolidate(self, context: TrainContext) -> None:
        for _, weights in list(context.model.trainable()):
            weights.requires_grad_(False)


class Penalty(BaseStrategy):
    """A well-behaved one with a state, a gradient hook and distillation from the parent."""

    def __init__(self) -> None:
        self._seen = torch.zeros(1)

    def loss(self, context: TrainContext, batch: Batch, outputs: Outputs) -> Tensor | None:
        with torch.no_grad():
            parent = context.parent().forward(batch.examples)
        old = context.old_classes
        return (outputs.logits[:, :old] - parent.logits[:, :old]).square().sum()

    def on_gradients(self, context: TrainContext) -> None:
        for _, weights in context.model.trainable():
            assert weights.grad is not None
            weights.grad.mul_(0.5)

    def consolidate(self, context: TrainContext) -> None:
        self._seen = self._seen + len(context.new)

    def state_dict(self) -> Mapping[str, Tensor]:
        return {"seen": self._seen}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._seen = state["seen"]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Greedy, "plan: asked for 5000 of 0 stored"),
        (InFront, "extend: does not give the batch first"),
        (Unmarked, "extend: added an unmarked example"),
        (Vector, "loss: gave"),
        (NotFinite, "loss: gave"),
        (Backward, r"loss: called backward\(\)"),
        (Forgetful, "load_state_dict: state_dict"),
        (Shuffler, "extend: changed context.pool"),
        (Unseeded, "the same seed gave other numbers"),
        (Trampler, r"consolidate: changed \.grad"),
        (Freezer, "consolidate: left other weights trainable"),
    ],
)
def test_each_breach_is_found_and_named(broken: Callable[[], BaseStrategy], message: str) -> None:
    # Given a strategy that breaks one rule, When checked, Then the message names the hook
    with pytest.raises(CheckFailed, match=message):
        check_strategy(broken)


@pytest.mark.parametrize("place", [0, 1])
def test_a_breach_is_found_in_a_list_too(place: int) -> None:
    # Given a broken strategy before or behind a good one, Then it is found
    both: list[Callable[[], BaseStrategy]] = [Penalty, Penalty]
    both[place] = Unmarked
    with pytest.raises(CheckFailed, match="extend: added an unmarked example"):
        check_strategy(*both)


def test_naive_and_a_full_strategy_pass() -> None:
    # Given strategies that keep to the protocol, Then nothing is raised
    check_strategy(BaseStrategy)
    check_strategy(Penalty)
