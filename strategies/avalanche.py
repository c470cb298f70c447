"""A plugin of Avalanche's (Carta et al. 2023), run inside the trainer. The one importer of avalanche.

An update is one of Avalanche's *experiences*. Its hooks are called where the trainer calls ours::

    begin          [the past, see 3]  before_training, ..._dataset_adaptation, before_training_exp
    extend         before_training_epoch (and after_training_epoch), then the batches of its dataloader
    loss           before_training_iteration, before_forward, after_forward, before_backward
    on_gradients   after_backward, before_update
    (the step)     after_update, after_training_iteration
    consolidate    after_training_epoch, after_training_exp

Guarantees:

1. The trainer alone steps. While a plugin runs a backward pass of its own, the trainer's gradients lie aside.
2. Avalanche is imported when an update begins, not before: the daemon's other processes never load it. Nothing is
   printed, no file is written under the user's home, no tracker is asked.
3. A version keeps tensors only. A plugin with a memory of examples is fed anew, at each update, from the job's
   replay pool, grouped by the update that brought each class: a version keeps no texts, and an erased event is gone.
4. Only weights that ``tune`` moves are held. A memory takes no example of weight 0, and a step without any weight
   calls no hook.
5. After a state of another plugin, or none, a regulariser begins as at a first update.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from tempfile import TemporaryDirectory
from unittest.mock import patch

import torch
from torch import Tensor

from strategies.avalanche_options import AvalancheOptions
from strategies.avalanche_plugins import PLUGINS
from strategies.avalanche_run import Library, Row, Run
from strategies.avalanche_scope import quiet
from strategies.base import BaseStrategy, Batch, Example, Outputs, PlanStats, PoolRequest, TrainContext


class Avalanche(BaseStrategy):
    """State: ``PLUGIN/experiences``, how many updates there were; ``PLUGIN/introduced`` [C], which of them brought
    each class; ``PLUGIN/kept/...``, what the plugin keeps."""

    def __init__(self, options: AvalancheOptions) -> None:
        self._options = options
        self._row = PLUGINS[options.plugin]
        self._kept: dict[str, Tensor] = {}
        self._running: Run | None = None

    def plan(self, stats: PlanStats) -> Sequence[PoolRequest]:
        wanted = min(stats.stored_events, self._options.memory())
        return (PoolRequest(wanted),) if wanted > 0 else ()

    def begin(self, context: TrainContext) -> None:
        """Raises ValueError for a task without classes."""
        self._running = Run(
            library(), self._options, context, self._past(context), self._of("kept/"), self._experiences()
        )

    def extend(self, context: TrainContext, batch: Sequence[Example]) -> Sequence[Example]:
        return self._now.extend(context, batch)

    def loss(self, context: TrainContext, batch: Batch, outputs: Outputs) -> Tensor | None:
        return self._now.loss(context, batch, outputs)

    def on_gradients(self, context: TrainContext) -> None:
        self._now.on_gradients()

    def consolidate(self, context: TrainContext) -> None:
        kept, updates = self._now.consolidate(), self._experiences()
        introduced = torch.full((len(context.labels),), updates)
        introduced[: context.old_classes] = self._introduced(context.old_classes)
        own = {"experiences": torch.tensor(updates + 1), "introduced": introduced}
        own.update((f"kept/{name}", tensor) for name, tensor in kept.items())
        self._kept = {f"{self._options.plugin}/{name}": tensor for name, tensor in own.items()}
        self._running = None

    def state_dict(self) -> Mapping[str, Tensor]:
        return dict(self._kept)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._kept = dict(state)

    @property
    def _now(self) -> Run:
        if self._running is None:
            raise RuntimeError("avalanche: begin(context) comes first")
        return self._running

    def _of(self, prefix: str) -> dict[str, Tensor]:
        whole = f"{self._options.plugin}/{prefix}"
        return {name.removeprefix(whole): tensor for name, tensor in self._kept.items() if name.startswith(whole)}

    def _experiences(self) -> int:
        found = self._of("experiences").get("")
        return 0 if found is None else int(found)

    def _introduced(self, old_classes: int) -> Tensor:
        """[old_classes]; 0 where it is not known."""
        found = torch.zeros(old_classes, dtype=torch.long)
        known = self._of("introduced").get("", found)[:old_classes]
        found[: len(known)] = known
        return found

    def _past(self, context: TrainContext) -> Sequence[Sequence[Row]]:
        """What the plugin is told of earlier updates, the oldest first."""
        if self._row.past is None:
            return ()
        rows: Sequence[Row] = [(0, number) for number in range(context.old_classes)]
        if self._row.past == "pool":
            pool = enumerate(context.pool)
            rows = [(number, example.target) for number, example in pool if example.weight > 0]
        introduced = dict(enumerate(self._introduced(context.old_classes).tolist()))
        groups: dict[int, list[Row]] = {}
        for number, target in rows:
            groups.setdefault(introduced.get(target, self._experiences()), []).append((number, target))
        ordered = [groups[key] for key in sorted(groups)]
        over = max(0, len(ordered) - self._options.experiences())
        return [[row for group in ordered[: over + 1] for row in group], *ordered[over + 1 :]] if ordered else ()


@cache
def library() -> Library:
    """Imports Avalanche: seconds, and about a gigabyte of memory. What it would write on import (a configuration, a
    cache of fonts) goes to a home that is gone afterwards."""
    with TemporaryDirectory() as home, quiet():
        scratch = {"HOME": home, "MPLCONFIGDIR": home, "XDG_CACHE_HOME": home, "XDG_CONFIG_HOME": home}
        with patch.dict(os.environ, {**scratch, "WANDB_MODE": "disabled", "WANDB_SILENT": "true"}):
            from avalanche.benchmarks.utils import _make_taskaware_tensor_classification_dataset
            from avalanche.training import plugins
            from avalanche.training.plugins.clock import Clock
            from avalanche.training.utils import ParamData
    return Library(
        plugins={name: getattr(plugins, name) for name in PLUGINS},
        clock=Clock,
        dataset=lambda x, y: _make_taskaware_tensor_classification_dataset(x, y, task_labels=0).train(),
        wrap=lambda name, tensor, device: ParamData(name, init_tensor=tensor.to(device), device=device),
    )
