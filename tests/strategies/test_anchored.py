"""What holds weights by their importance."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from strategies.anchored import Anchored, sampled
from strategies.specimen import SpecimenContext, SpecimenModel


class Given(Anchored):
    """Finds the importance that it is given."""

    fresh: dict[str, Tensor]

    def consolidate(self, context: SpecimenContext) -> None:  # type: ignore[override]
        self.keep({name: value.clone() for name, value in self.fresh.items()})


def ones(model: SpecimenModel, value: float = 1.0) -> dict[str, Tensor]:
    return {name: torch.full_like(weights, value) for name, weights in model.trainable()}


def held(state: Mapping[str, Tensor], decay_ratio: float = 0.5) -> Given:
    made = Given(3.0, decay_ratio)
    made.load_state_dict(state)
    return made


def test_the_pull_is_strength_times_importance_times_the_way() -> None:
    # Given importance 2 everywhere and weights that went 0.5 from where the update found them
    model = SpecimenModel(3)
    context = SpecimenContext(model, pool=())
    strategy = held(ones(model, 2.0))
    strategy.begin(context)
    with torch.no_grad():
        for _, weights in model.trainable():
            weights.add_(0.5)
            weights.grad = torch.ones_like(weights)
    # When gradients are changed, Then each grew by 3 x 2 x 0.5
    strategy.on_gradients(context)
    for _, weights in model.trainable():
        assert weights.grad is not None
        torch.testing.assert_close(weights.grad, torch.full_like(weights, 4.0))


def test_importance_runs_through_updates_and_new_rows_have_their_own_alone() -> None:
    # Given an importance of three classes, When an update with five finds 1 everywhere
    model = SpecimenModel(5)
    strategy = held(ones(SpecimenModel(3), 4.0))
    strategy.begin(context := SpecimenContext(model, pool=()))
    strategy.fresh = ones(model)
    strategy.consolidate(context)
    # Then it is 0.5 x 4 + 1 where the parent had rows, and 1 where not
    state = strategy.state_dict()
    assert torch.equal(state["head.bias"], torch.tensor([3.0, 3.0, 3.0, 1.0, 1.0]))
    assert bool((state["encoder.weight"] == 3.0).all())


@pytest.mark.parametrize(("ratio", "most", "expected"), [(1.0, 512, 8), (1.0, 5, 5), (0.001, 512, 8)])
def test_the_sample_is_bounded_and_not_too_small(ratio: float, most: int, expected: int) -> None:
    # Given eight new events trained twice, Then at most so many are drawn, each once, and few are all taken
    context = SpecimenContext(SpecimenModel(3), pool=())
    chosen = sampled(context, ratio, most)
    assert len({example.event_id for example in chosen}) == len(chosen) == expected
