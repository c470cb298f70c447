"""Weights between the parent's and the trained ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from daemon.training.averaging import Averaging
from strategies.base import BaseStrategy, TrainContext
from tests.training.test_loop import Tiny, examples, run, value


def named() -> list[tuple[str, nn.Parameter]]:
    shapes = {"encoder.w": (2, 2), "head.weight": (3, 2), "head.bias": (3,)}
    return [(name, nn.Parameter(torch.zeros(shape))) for name, shape in shapes.items()]


def test_weights_end_part_of_the_way_and_new_classes_rows_at_its_end() -> None:
    # Given weights at 0, of a head whose first two classes the parent knew
    weights = named()
    averaging = Averaging(weights, old_classes=2)
    # When training took them to 4, Then they end at a quarter of it; the new class's row stays at 4
    with torch.no_grad():
        for _, tensor in weights:
            tensor.fill_(4.0)
    averaging.apply(1.0)
    assert all(bool((tensor == 4.0).all()) for _, tensor in weights)
    averaging.apply(0.5)
    averaging.apply(0.25)
    found = {name: tensor.detach() for name, tensor in weights}
    assert torch.equal(found["encoder.w"], torch.ones(2, 2))
    assert torch.equal(found["head.weight"], torch.tensor([[1.0, 1.0], [1.0, 1.0], [4.0, 4.0]]))
    assert torch.equal(found["head.bias"], torch.tensor([1.0, 1.0, 4.0]))
    assert all(tensor.requires_grad for _, tensor in weights)


def moved(tmp_path: Path, ratio: float, old_classes: int = 0) -> list[Tensor]:
    """How far a training took each weight."""
    model = Tiny()
    before = [weights.detach().clone() for weights in model.parameters()]
    run(model, tmp_path, old_classes=old_classes, ratio=ratio)
    return [weights.detach() - start for weights, start in zip(model.parameters(), before, strict=True)]


def test_a_training_ends_at_the_share_of_its_own_way(tmp_path: Path) -> None:
    # Given one training to the end and one that is averaged, of a parent that knew both classes
    whole, part = (moved(tmp_path / str(ratio), ratio, old_classes=2) for ratio in (1.0, 0.3))
    # Then each weight went 0.3 of the way
    for far, near in zip(whole, part, strict=True):
        assert bool(far.any())
        torch.testing.assert_close(near, 0.3 * far, rtol=1e-4, atol=1e-6)


def test_in_a_first_update_the_head_goes_all_the_way(tmp_path: Path) -> None:
    # Given a parent without classes, Then the encoder is averaged and the head is not
    whole, part = (moved(tmp_path / str(ratio), ratio) for ratio in (1.0, 0.5))
    torch.testing.assert_close(part[0], 0.5 * whole[0], rtol=1e-4, atol=1e-6)
    assert all(torch.equal(near, far) for near, far in zip(part[1:], whole[1:], strict=True))


class Looks(BaseStrategy):
    seen: list[Tensor]

    def consolidate(self, context: TrainContext) -> None:
        self.seen = [weights.detach().clone() for _, weights in context.model.trainable()]


def test_strategies_look_back_at_the_averaged_weights(tmp_path: Path) -> None:
    # Given an averaged training, When strategies look back, Then they see what will be served
    looks, model = Looks(), Tiny()
    run(model, tmp_path, [looks], old_classes=2, ratio=0.5)
    for seen, weights in zip(looks.seen, model.parameters(), strict=True):
        assert torch.equal(seen, weights)


def test_the_best_epochs_weights_are_averaged(tmp_path: Path) -> None:
    # Given validation rows with the opposite labels, so that the first epoch is the best
    opposite = [type(row)(row.event_id, row.token_ids, 1 - row.target, "") for row in examples("val", 6)]
    ends = []
    for ratio in (1.0, 0.5):
        model = Tiny()
        done = run(
            model,
            tmp_path / str(ratio),
            validation=opposite,
            patience=2,
            epochs=9,
            head_learning_rate=0.1,
            warmup_ratio=0,
            old_classes=2,
            ratio=ratio,
        )
        assert done.best_epoch == 0
        ends.append((value(model, opposite), value(Tiny(), opposite), done.validation_losses[0]))
    # Then averaging starts from it: the end lies between the parent and the best epoch
    (best, parent, told), (between, _, _) = ends
    assert best == pytest.approx(told, rel=1e-5)
    assert min(best, parent) < between < max(best, parent)
