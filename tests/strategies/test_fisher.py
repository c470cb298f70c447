"""The diagonal Fisher: batched with hooks, it is what one example at a time gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from daemon.config.tune import Tune
from daemon.models.encoder import Encoder
from daemon.models.tuned import TunedModel
from daemon.models.tuning import apply_tuning
from daemon.tasks.sequence import SequenceTask
from daemon.training.context import LoopContext
from strategies.base import Example, Outputs, TrainContext
from strategies.fisher import diagonal_fisher
from strategies.specimen import SpecimenContext, SpecimenModel
from tests.models.bases import examples, tiny

CPU = torch.device("cpu")
LABELS = ("lost", "late", "fee")
KINDS: dict[str, dict[str, Any]] = {
    "head": {"kind": "head"},
    "last_layers": {"kind": "last_layers", "layers": 1},
    "lora": {"kind": "lora"},
    "full": {"kind": "full"},
    "embeddings": {"kind": "full", "embeddings": True},
}


def one_at_a_time(context: TrainContext, chosen: Sequence[Example]) -> dict[str, Tensor]:
    named = dict(context.model.trainable())
    totals = {name: torch.zeros_like(weights) for name, weights in named.items()}
    for example in chosen:
        loss = context.task_loss(context.model.forward([example]), context.collate([example])).sum()
        gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True, materialize_grads=True)
        for total, gradient in zip(totals.values(), gradients, strict=True):
            total += gradient.square()
    return {name: total / len(chosen) for name, total in totals.items()}


def close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, fisher in expected.items():
        scale = float(fisher.abs().max())
        torch.testing.assert_close(found[name], fisher, rtol=1e-3, atol=1e-5 * scale + 1e-20, msg=name)


class Counted(TunedModel):
    passes = 0

    def forward(self, examples: Sequence[Example]) -> Outputs:
        self.passes += 1
        return super().forward(examples)


def around(directory: Path, tune: dict[str, Any], packed: bool, batch_size: int = 4) -> tuple[Counted, LoopContext]:
    """A tiny BERT with random weights as the trainer holds it; LoRA's second matrix away from its start at 0."""
    torch.manual_seed(0)
    task = SequenceTask()
    encoder = Encoder.load(tiny(directory), CPU, packed=packed)
    apply_tuning(encoder, TypeAdapter(Tune).validate_python(tune), 0)
    head = task.build_head(encoder.hidden_size, LABELS, None, 0)
    model = Counted(encoder, head, LABELS, task).eval()
    with torch.no_grad():
        for name, weights in model.trainable():
            if "lora_B" in name:
                weights.normal_(std=0.1)
    context = LoopContext(
        model,
        task,
        new=examples(),
        pool=[],
        old_classes=0,
        seed=0,
        batch_size=batch_size,
        total_steps=2,
        parent=lambda: model,
    )
    return model, context


@pytest.mark.parametrize("tune", KINDS.values(), ids=list(KINDS))
def test_packed_texts_give_each_examples_own_squares_in_one_pass(tmp_path: Path, tune: dict[str, Any]) -> None:
    # Given seven texts of different lengths, in batches of four
    model, context = around(tmp_path, tune, packed=True)
    expected = one_at_a_time(context, context.new)
    # When the Fisher is measured, Then it is the same for every weight that moves, from two passes
    model.passes = 0
    close(diagonal_fisher(context, context.new), expected)
    assert model.passes == 2
    assert all(float(fisher.abs().max()) > 0 for fisher in expected.values())


@pytest.mark.parametrize("tune", [KINDS["lora"], KINDS["embeddings"]], ids=["lora", "embeddings"])
def test_padded_texts_give_the_same(tmp_path: Path, tune: dict[str, Any]) -> None:
    # Given an architecture that must be padded (positions are shared by the texts of a batch), Then it is exact too
    _, context = around(tmp_path, tune, packed=False)
    close(diagonal_fisher(context, context.new), one_at_a_time(context, context.new))


def test_batches_of_another_size_give_the_same(tmp_path: Path) -> None:
    # Given the same texts in batches of 1 and of 7, Then the squares are per example all the same
    _, single = around(tmp_path / "1", KINDS["full"], packed=True, batch_size=1)
    _, whole = around(tmp_path / "7", KINDS["full"], packed=True, batch_size=7)
    close(diagonal_fisher(whole, whole.new), diagonal_fisher(single, single.new))


class Scaled(SpecimenModel):
    """A weight of no layer, a layer used twice, an output changed in place and a weight that two layers share."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        torch.manual_seed(3)
        self.scale = nn.Parameter(torch.rand(6))
        self.twice, self.inplace, self.one, self.other = (nn.Linear(6, 6) for _ in range(4))
        self.other.weight = self.one.weight

    def forward(self, examples: Sequence[Example]) -> Outputs:
        pooled = super().forward(examples).pooled
        mixed = self.twice(self.twice(pooled)) * self.scale
        mixed = self.other(self.one(self.inplace(mixed).mul_(2.0).tanh()))
        return Outputs(pooled, self.head(mixed))


def test_what_no_hook_can_tell_is_exact_too() -> None:
    # Given a model of things that a formula for layers does not know, Then every weight's Fisher is exact
    context = SpecimenContext(Scaled(4), pool=())
    close(diagonal_fisher(context, context.new), one_at_a_time(context, context.new))


def test_nothing_is_left_behind() -> None:
    # Given a step's gradients, When the Fisher is measured, Then they, hooks and what is trainable stay as they were
    context = SpecimenContext(SpecimenModel(4), pool=())
    model = context.model
    for _, weights in model.trainable():
        weights.grad = torch.ones_like(weights)
    names = [name for name, _ in model.trainable()]
    diagonal_fisher(context, context.new)
    assert [name for name, _ in model.trainable()] == names
    assert all(weights.grad is not None and bool((weights.grad == 1).all()) for _, weights in model.trainable())
    assert not any(module._forward_hooks for _, module in model.named_modules())


def test_without_examples_it_is_zero() -> None:
    context = SpecimenContext(SpecimenModel(4), pool=())
    assert not any(fisher.any() for fisher in diagonal_fisher(context, []).values())
