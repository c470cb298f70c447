"""What a strategy sees of the trainer: the context with its model, task and parent behind it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from daemon.models.tuned import TunedModel
from daemon.tasks.base import Task
from strategies.base import Batch, Example, Model, Outputs, TrainContext


class LoopContext(TrainContext):
    """The trainer's :class:`strategies.base.TrainContext`.

    ``parent`` is called at most once: it makes the parent's model, in eval mode, without gradients.
    """

    def __init__(
        self,
        model: TunedModel,
        task: Task,
        *,
        new: Sequence[Example],
        pool: Sequence[Example],
        old_classes: int,
        seed: int,
        batch_size: int,
        total_steps: int,
        parent: Callable[[], TunedModel],
    ) -> None:
        super().__init__(
            model=model,
            pool=pool,
            new=new,
            labels=model.labels,
            old_classes=old_classes,
            device=model.encoder.device,
            rng=random.Random(seed),
            batch_size=batch_size,
            total_steps=total_steps,
        )
        self.tuned = model
        self._task = task
        self._make_parent = parent
        self._parent: TunedModel | None = None

    def task_loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """[B], per example, not yet weighted."""
        return self._task.loss(outputs, batch.targets)

    def parent(self) -> Model:
        if self._parent is None:
            self._parent = self._make_parent().eval().requires_grad_(False)
        return self._parent

    def collate(self, examples: Sequence[Example]) -> Batch:
        weights = torch.tensor([example.weight for example in examples], dtype=torch.float32)
        return Batch(examples, self._task.collate(examples).to(self.device), weights.to(self.device))
