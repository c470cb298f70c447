"""Epochs and steps, on a model of a few numbers."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from daemon.clock import SystemClock
from daemon.config.task import Training
from daemon.errors import NonFiniteLoss
from daemon.models.tuned import TunedModel
from daemon.tasks import get_task
from daemon.training.context import LoopContext
from daemon.training.loop import Loop, Trained, steps_in
from daemon.training.progress import Progress
from strategies import catalog
from strategies.base import BaseStrategy, Batch, Example, Outputs, Strategy, TrainContext

STILL: Mapping[str, Any] = {"learning_rate": 1e-9, "head_learning_rate": 1e-9}


class TinyEncoder(nn.Module):
    device = torch.device("cpu")

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(16, 4, generator=torch.Generator().manual_seed(0)))

    def forward(self, examples: Sequence[Example]) -> Tensor:
        return torch.stack([self.table[list(example.token_ids)].mean(0) for example in examples])


class Tiny(TunedModel):
    """Counts what it is asked to forward in training."""

    def __init__(self, classes: int = 2) -> None:
        task = get_task("sequence")
        labels = [f"class-{i}" for i in range(classes)]
        super().__init__(cast(Any, TinyEncoder()), task.build_head(4, labels, None, 0), labels, task)
        self.seen: Counter[str] = Counter()

    def forward(self, examples: Sequence[Example]) -> Outputs:
        assert self.head is not None
        if self.training:
            self.seen.update(example.event_id for example in examples)
        pooled = cast(Tensor, self.encoder(examples))
        return Outputs(pooled, self.head(pooled), [len(example.token_ids) for example in examples])


def examples(prefix: str, count: int) -> list[Example]:
    return [Example(f"{prefix}-{i}", (1 + i % 2, 5 + i % 7), i % 2, f"class-{i % 2}") for i in range(count)]


def run(
    model: Tiny,
    tmp_path: Path,
    strategies: Sequence[Strategy] = (),
    *,
    pool: int = 0,
    old_classes: int = 0,
    validation: Sequence[Example] = (),
    new: Sequence[Example] = (),
    ratio: float = 1.0,
    **training: Any,
) -> Trained:
    config = Training.model_validate({"epochs": 3, "batch_size": 4, **training})
    chosen = new or examples("new", 10)
    context = LoopContext(
        model,
        model.task,
        new=chosen,
        pool=examples("old", pool),
        old_classes=old_classes,
        seed=5,
        batch_size=config.batch_size,
        total_steps=steps_in(len(chosen), config),
        parent=Tiny,
    )
    tmp_path.mkdir(exist_ok=True)
    with Progress(tmp_path / "progress.jsonl", SystemClock()) as progress, progress.phase("train"):
        loop = Loop(context, strategies, config, progress)
        done = loop.run(validation)
        loop.go(ratio)
        loop.consolidate()
        return done


def test_each_new_example_is_trained_once_an_epoch(tmp_path: Path) -> None:
    # Given 10 new examples, When trained for 3 epochs in steps of 4
    model = Tiny()
    done = run(model, tmp_path)
    # Then each was seen three times, in 9 steps, and the loss fell
    assert set(model.seen.values()) == {3}
    assert (done.steps, done.samples, len(done.losses)) == (9, 30, 3)
    assert done.losses[-1] < done.losses[0]


def test_replayed_examples_count_as_trained(tmp_path: Path) -> None:
    # Given replay with ratio 1, Then as many old ones are forwarded, and all are counted
    model = Tiny()
    done = run(model, tmp_path, [catalog.make("replay", {})], pool=6)
    assert done.samples == 60
    assert sum(count for name, count in model.seen.items() if name.startswith("old")) == 30


class Recorder(BaseStrategy):
    def __init__(self, name: str, calls: list[str]) -> None:
        self._name, self._calls = name, calls

    def begin(self, context: TrainContext) -> None:
        self._calls.append(f"{self._name}.begin")

    def extend(self, context: TrainContext, batch: Sequence[Example]) -> Sequence[Example]:
        self._calls.append(f"{self._name}.extend")
        return batch

    def loss(self, context: TrainContext, batch: Batch, outputs: Outputs) -> Tensor | None:
        self._calls.append(f"{self._name}.loss")
        return None

    def on_gradients(self, context: TrainContext) -> None:
        assert all(weights.grad is not None for _, weights in context.model.trainable())
        self._calls.append(f"{self._name}.on_gradients")

    def consolidate(self, context: TrainContext) -> None:
        self._calls.append(f"{self._name}.consolidate")


class Asks(BaseStrategy):
    training: bool | None = None

    def consolidate(self, context: TrainContext) -> None:
        assert isinstance(context.model, nn.Module)
        self.training = context.model.training


def test_strategies_look_back_without_dropout(tmp_path: Path) -> None:
    # Given a training, When it ends, Then strategies find the model in eval mode
    asks = Asks()
    run(Tiny(), tmp_path, [asks])
    assert asks.training is False


def test_hooks_are_called_in_order(tmp_path: Path) -> None:
    # Given two strategies and a single step, Then each hook is called for both, in order
    calls: list[str] = []
    run(Tiny(), tmp_path, [Recorder("a", calls), Recorder("b", calls)], epochs=1, batch_size=32)
    hooks = ("begin", "extend", "loss", "on_gradients", "consolidate")
    assert calls == [f"{name}.{hook}" for hook in hooks for name in "ab"]


class Pull(BaseStrategy):
    """A term whose gradient alone reaches a weight that the task's loss does not."""

    def loss(self, context: TrainContext, batch: Batch, outputs: Outputs) -> Tensor | None:
        return sum((weights.square().sum() for _, weights in context.model.trainable()), torch.zeros(()))


def test_a_strategys_term_is_added_to_the_loss(tmp_path: Path) -> None:
    # Given a term that pulls every weight to 0, Then the loss is larger by it
    plain, pulled = run(Tiny(), tmp_path, **STILL), run(Tiny(), tmp_path, [Pull()], **STILL)
    expected = sum(weights.square().sum().item() for weights in Tiny().parameters())
    assert pulled.losses[0] - plain.losses[0] == pytest.approx(expected, rel=1e-4)


class Poison(BaseStrategy):
    def __init__(self, where: str) -> None:
        self._where = where

    def loss(self, context: TrainContext, batch: Batch, outputs: Outputs) -> Tensor | None:
        return outputs.logits.sum() * float("nan") if self._where == "loss" else None

    def on_gradients(self, context: TrainContext) -> None:
        if self._where == "gradient":
            for _, weights in context.model.trainable():
                weights.grad = torch.full_like(weights, float("inf"))


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_what_is_not_finite_stops_before_a_step(tmp_path: Path, where: str) -> None:
    # Given a loss or gradient that is not finite, When trained, Then it stops, and no weight moved
    model = Tiny()
    before = [weights.clone() for weights in model.parameters()]
    with pytest.raises(NonFiniteLoss, match=rf"{where}.* at step 0 of 9; lower training\.learning_rate"):
        run(model, tmp_path, [Poison(where)])
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


def test_weights_scale_an_examples_loss(tmp_path: Path) -> None:
    # Given wrong examples with weight 0 beside right ones, Then they teach nothing
    right = examples("new", 8)
    wrong = [Example(f"wrong-{e.event_id}", e.token_ids, 1 - e.target, "", weight=0.0) for e in right]
    alone, beside = Tiny(), Tiny()
    run(alone, tmp_path, new=right, batch_size=32)
    run(beside, tmp_path, new=[*right, *wrong], batch_size=32)
    for one, other in zip(alone.parameters(), beside.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_patience_stops_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    # Given validation rows whose labels are the opposite, so that each epoch makes them worse
    opposite = [Example(e.event_id, e.token_ids, 1 - e.target, "") for e in examples("val", 6)]
    model, once = Tiny(), Tiny()
    done = run(model, tmp_path, validation=opposite, patience=2, epochs=9, head_learning_rate=0.1, warmup_ratio=0)
    # When two epochs brought nothing better, Then it stopped with the weights of the first
    assert (done.best_epoch, len(done.validation_losses)) == (0, 3)
    losses = iter(done.validation_losses)
    assert next(losses) == min(done.validation_losses)
    assert value(model, opposite) == pytest.approx(done.validation_losses[0], rel=1e-5)
    assert value(once, opposite) != pytest.approx(done.validation_losses[0], rel=1e-5)


def value(model: Tiny, rows: Sequence[Example]) -> float:
    model.eval()
    with torch.no_grad():
        return float(model.task.loss(model.forward(rows), model.task.collate(rows)).mean())


def test_the_parent_is_made_once_and_frozen() -> None:
    # Given a context, When the parent is asked for twice, Then it is one model, in eval mode, without gradients
    made: list[Tiny] = []

    def parent() -> Tiny:
        made.append(Tiny())
        return made[-1]

    model = Tiny()
    context = LoopContext(
        model, model.task, new=[], pool=[], old_classes=2, seed=0, batch_size=4, total_steps=1, parent=parent
    )
    assert context.parent() is context.parent()
    assert len(made) == 1
    assert not made[0].training
    assert list(made[0].trainable()) == []
    assert isinstance(context.rng, random.Random)
