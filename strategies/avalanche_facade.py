"""What a plugin of Avalanche gets as its ``strategy``: the trainer's objects under Avalanche's names.

``avalanche_plugins.PROVIDES`` lists every attribute. Texts travel as numbers: an input ``x`` is a column [B, 1] of
places in a table of examples, and the model looks them up. So batches can be joined and stored, whatever the lengths
of their texts, and what a plugin keeps holds no text.

Nothing here imports Avalanche.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from strategies.base import Batch, Example, Model, Outputs, TrainContext


class NotProvided(AttributeError):
    """A plugin asked for what the façade does not have."""


class OwnPass(Tensor):
    """What comes out of a forward pass that a plugin makes itself. ``backward`` fills ``.grad``, as plugins expect;
    the trainer's gradients lie aside meanwhile (``avalanche_scope.aside``)."""

    def backward(self, gradient: Tensor | None = None, retain_graph: bool | None = None, **_: Any) -> None:  # type: ignore[override]
        torch.autograd.backward(self.as_subclass(Tensor), gradient, retain_graph)


class FacadeModel(nn.Module):
    """A model of ours to be called with ``x``. One flat module: Avalanche walks nested ones once for every chain of
    parents, which is too long for an encoder. Its parameters are those that ``tune`` moves."""

    def __init__(self, model: Model, table: Sequence[Example], *, fixed: bool = False) -> None:
        super().__init__()
        self._models = (model,)  # in a tuple, or torch would walk into it
        self._table = table
        self._fixed = fixed

    def forward(self, x: Tensor) -> Tensor:
        """x: [B, 1] -> logits [B, C]."""
        logits = self._models[0].forward([self._table[number] for number in x.flatten().tolist()]).logits
        return logits.as_subclass(OwnPass) if logits.requires_grad else logits

    def named_parameters(self, *_: Any, **__: Any) -> Iterator[tuple[str, nn.Parameter]]:
        return self._models[0].trainable()

    def train(self, mode: bool = True) -> FacadeModel:
        self.training = mode
        for _, module in self._models[0].named_modules():
            module.training = mode
        return self

    def __deepcopy__(self, _: Any) -> FacadeModel:
        """The parent's stays as it is. Raises NotProvided for the one that is trained."""
        if not self._fixed:
            raise NotProvided("copy.deepcopy(strategy.model): retaind does not provide it while the model is trained")
        return self


@dataclass(slots=True)
class Criterion:
    """The task's mean loss."""

    context: TrainContext

    def __call__(self, output: Tensor, targets: Tensor) -> Tensor:
        """output: [B, C], targets: [B] -> scalar."""
        batch = Batch((), targets, output.new_ones(len(targets)))
        return self.context.task_loss(Outputs(output, output), batch).mean()


@dataclass(slots=True)
class Optimizer:
    """Clears gradients. The step is the trainer's."""

    model: Model

    def zero_grad(self, set_to_none: bool = True) -> None:
        for _, weights in self.model.trainable():
            weights.grad = None


@dataclass(slots=True)
class Experience:
    """``dataset``: Avalanche's, of (x, y, task)."""

    dataset: Any
    classes_in_this_experience: Sequence[int]
    current_experience: int
    task_label: int = 0
    task_labels: Sequence[int] = (0,)


@dataclass(slots=True)
class Facade:
    """``plugin``: its name, for errors. See ``avalanche_plugins.PROVIDES`` for what each attribute is."""

    plugin: str
    model: FacadeModel
    optimizer: Optimizer
    _criterion: Criterion
    device: torch.device
    train_mb_size: int
    clock: Any
    loss: Tensor
    experience: Experience | None = None
    adapted_dataset: Any = None
    dataloader: Any = None
    mbatch: Sequence[Tensor] = ()
    mb_output: Tensor | None = None
    is_training: bool = field(default=True, init=False)

    @property
    def mb_x(self) -> Tensor:
        return self.mbatch[0]

    @property
    def mb_y(self) -> Tensor:
        return self.mbatch[1]

    @property
    def mb_task_id(self) -> Tensor:
        return self.mbatch[2]

    def __getattr__(self, name: str) -> Any:
        raise NotProvided(f"{self.plugin} asks for strategy.{name}, which retaind does not provide")
