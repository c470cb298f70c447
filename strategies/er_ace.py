"""ER-ACE, experience replay with asymmetric cross-entropy (Caccia et al. 2022).

A new event's loss compares its class with the classes of the step's new events only, a replayed one's with all:
so new events do not push the outputs of old classes down, which is where abrupt forgetting comes from, and
old and new classes are told apart by replayed events, at their own pace. It replays by itself, or learns from what
another strategy replays (:mod:`strategies.rehearsal`).

Other than in the paper, a share ``plain_ratio`` of a new event's loss compares with all classes: the paper's
memory takes in new events as they come, while a replay pool holds older ones only, so that without it a class that
comes alone would not be learnt by its update. In a task's first update nothing is old, and the loss is the plain one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from strategies.base import Batch, Outputs, TrainContext
from strategies.er_ace_options import ErAceOptions
from strategies.parent import row_counts, weighted_mean
from strategies.rehearsal import Rehearsal


class ErAce(Rehearsal):
    """For tasks whose labels are classes. Keeps nothing from one update to the next."""

    def __init__(self, options: ErAceOptions) -> None:
        super().__init__(options)
        self._share = 1 - options.plain_ratio

    def loss(self, context: TrainContext, batch: Batch, outputs: Outputs) -> Tensor | None:
        """What turns the plain loss of new examples, which the trainer takes, into the asymmetric one."""
        new = torch.tensor([not example.replayed for example in batch.examples], device=batch.weights.device)
        if context.old_classes == 0 or not self._share:
            return None
        counts = row_counts(outputs, len(batch.examples))
        rows = new.repeat_interleave(torch.tensor(counts, device=new.device))
        others = absent(batch.targets[rows], outputs.logits.shape[-1])
        lowest = torch.finfo(outputs.logits.dtype).min
        logits = outputs.logits.masked_fill(rows[:, None] & others, lowest)
        asymmetric = context.task_loss(Outputs(outputs.pooled, logits, outputs.lengths, outputs.hidden), batch)
        change = (asymmetric - context.task_loss(outputs, batch)) * new
        return self._share * weighted_mean(change, [1] * len(change), batch.weights)


def absent(targets: Tensor, classes: int) -> Tensor:
    """[C], True for classes that none of ``targets`` names: class numbers (below 0: none), or [R, C] indicators."""
    if targets.dim() > 1:
        return ~(targets > 0).any(0)
    absent = torch.ones(classes, dtype=torch.bool, device=targets.device)
    absent[targets[targets >= 0]] = False
    return absent
