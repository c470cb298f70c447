"""The protocol of a strategy, and what the daemon hands to it.

A strategy returns *terms*; the trainer owns the step (``backward``, clipping, ``step``), so that
``[replay, ewc]`` in config.yaml is simply a list. All hooks are optional: derive from
:class:`BaseStrategy` and override what is needed.

Order in one update::

    daemon:   plan(stats)                     which stored events go into the job's replay pool
    trainer:  begin(context)
              for each step:
                  batch = extend(context, batch)      of each strategy, in order
                  loss  = task loss + Σ loss(context, batch, outputs)
                  backward (trainer)
                  on_gradients(context)               of each strategy, in order
                  clip, step (trainer)
              consolidate(context)                        the model is in eval mode
              state_dict()                            saved in the version; load_state_dict at the next
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class PoolRequest:
    """Stored events wanted in the job's replay pool: at most ``n`` train events older than the new ones.

    ``balanced``: classes in equal shares. ``uniform``: as often as stored. ``recent``: the chance of an event halves
    with every ``half_life_events`` newer ones. ``reservoir``: uniform, and the same ones each time while they are kept.
    """

    n: int
    policy: Literal["uniform", "balanced", "recent", "reservoir"] = "balanced"
    half_life_events: int = 1000


@dataclass(frozen=True, slots=True)
class PlanStats:
    """What is known when a job is made. ``new_events``: of this update; ``stored_events``: older train
    events in the buffer; ``epochs`` and ``batch_size`` as configured."""

    new_events: int
    stored_events: int
    labels: Mapping[str, int]
    epochs: int
    batch_size: int
    seed: int


@dataclass(frozen=True, slots=True)
class Example:
    """One encoded event. ``target`` is what ``Task.encode`` made of the label (an int, a float, a
    list ...); ``weight`` scales its loss; ``replayed`` is True for events from the pool."""

    event_id: str
    token_ids: tuple[int, ...]
    target: Any
    label: str = ""
    weight: float = 1.0
    replayed: bool = False
    token_type_ids: tuple[int, ...] | None = None


@dataclass(slots=True)
class Batch:
    """Examples of one step, collated by the trainer. ``targets``: [B, ...]; ``weights``: [B]."""

    examples: Sequence[Example]
    targets: Tensor
    weights: Tensor


@dataclass(slots=True)
class Outputs:
    """``pooled``: [B, H], mean over the last layer's tokens. ``logits``: [B, C], or [B, 1] for
    regression; token tasks get [T, C] over the packed tokens with ``lengths`` [B]."""

    pooled: Tensor
    logits: Tensor
    lengths: Sequence[int] = ()
    hidden: Tensor | None = None


class Model(Protocol):
    """Encoder and head as the trainer holds them."""

    def trainable(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Named parameters that this update moves. The head's begin with ``head.``; with classes, a row each
        along their first dimension, those of the parent in front."""

    def named_modules(self) -> Iterator[tuple[str, nn.Module]]:
        """As of ``torch.nn.Module``: where the parameters live, for hooks."""

    def forward(self, examples: Sequence[Example]) -> Outputs:
        """Run encoder and head, with gradients where they are enabled."""

    def rows(self, shape: Sequence[int]) -> Tensor | None:
        """For a module's hook while ``forward`` runs: which example each row of an input belongs to.

        ``shape``: the input's without its last dimension (of token ids: the whole). Returns [rows], places
        in ``examples``, in the order in which the input is laid out in memory; a padded position belongs to
        its text. None where it cannot be said (an input that several examples share).
        """


@dataclass(slots=True)
class TrainContext:
    """The trainer's side, as a strategy sees it.

    ``pool``: the frozen replay pool, encoded. ``old_classes``: how many output rows the parent had.
    ``task_loss(outputs, batch)``: [B], per example. ``parent``: the parent's model in eval mode, built
    on first use (for distillation).
    """

    model: Model
    pool: Sequence[Example]
    new: Sequence[Example]
    labels: Sequence[str]
    old_classes: int
    device: torch.device
    rng: random.Random
    batch_size: int
    total_steps: int
    step: int = 0
    epoch: int = 0
    extras: dict[str, Any] = field(default_factory=dict)

    def task_loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        raise NotImplementedError("given by the trainer")

    def parent(self) -> Model:
        raise NotImplementedError("given by the trainer")

    def collate(self, examples: Sequence[Example]) -> Batch:
        raise NotImplementedError("given by the trainer")


class Strategy(Protocol):
    def plan(self, stats: PlanStats) -> Sequence[PoolRequest]: ...

    def begin(self, context: TrainContext) -> None: ...

    def extend(self, context: TrainContext, batch: Sequence[Example]) -> Sequence[Example]:
        """The examples of this step, with others from ``context.pool`` behind them."""

    def loss(self, context: TrainContext, batch: Batch, outputs: Outputs) -> Tensor | None:
        """A scalar to be added to the loss."""

    def on_gradients(self, context: TrainContext) -> None:
        """Change ``.grad`` of ``context.model.trainable()`` in place."""

    def consolidate(self, context: TrainContext) -> None:
        """After the last step: what the next update needs to know of this one."""

    def state_dict(self) -> Mapping[str, Tensor]:
        """What the version keeps; saved after ``consolidate``."""

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Before ``begin``, with what the parent's update left: not called where it left nothing, or where
        this update starts from the base model because ``tune`` changed."""


class BaseStrategy:
    """No-ops: naive fine-tuning."""

    def plan(self, stats: PlanStats) -> Sequence[PoolRequest]:
        return ()

    def begin(self, context: TrainContext) -> None:
        return

    def extend(self, context: TrainContext, batch: Sequence[Example]) -> Sequence[Example]:
        return batch

    def loss(self, context: TrainContext, batch: Batch, outputs: Outputs) -> Tensor | None:
        return None

    def on_gradients(self, context: TrainContext) -> None:
        return

    def consolidate(self, context: TrainContext) -> None:
        return

    def state_dict(self) -> Mapping[str, Tensor]:
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        return
