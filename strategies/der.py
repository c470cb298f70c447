"""Dark experience replay ++ (Buzzega et al. 2020): a replayed event keeps its label, and the logits once given to it.

To the loss of a replayed example, which is β times the task's, is added α ‖h - z‖² / C: h its logits now, z the
parent's, over the C classes that the parent knew; rows of new classes are masked. β = 0 is DER. One draw of events
serves both terms (:mod:`strategies.rehearsal`).

z is computed from the parent, once an update for each event that is drawn (:mod:`strategies.parent`), and not kept in
strategy state: replay draws from all stored history, and logits of all of it would grow with history, outlive
the erasure of an event, and know nothing of classes that came after it. The parent is the version that is
served, so that z are the logits "of the version". The price is one forward pass a drawn event.
"""

from __future__ import annotations

import torch
from torch import Tensor

from strategies.base import Batch, Outputs, TrainContext
from strategies.der_options import DerOptions
from strategies.parent import ParentLogits, row_counts, weighted_mean
from strategies.rehearsal import Rehearsal


class DerPlusPlus(Rehearsal):
    """Keeps nothing from one update to the next."""

    def __init__(self, options: DerOptions) -> None:
        super().__init__(options)
        self._strength, self._label_strength = options.strength, options.label_strength
        self._parent = ParentLogits()

    def begin(self, context: TrainContext) -> None:
        super().begin(context)
        self._parent = ParentLogits()

    def loss(self, context: TrainContext, batch: Batch, outputs: Outputs) -> Tensor | None:
        """α ‖h - z‖² / C + (β - 1) of the task's loss, for replayed examples, as part of the batch's weighted mean."""
        replayed = torch.tensor([example.replayed for example in batch.examples], device=batch.weights.device)
        if context.old_classes == 0 or not bool(replayed.any()):
            return None
        counts = row_counts(outputs, len(batch.examples))
        rows = replayed.repeat_interleave(torch.tensor(counts, device=replayed.device))
        parent = self._parent.of(context, [example for example in batch.examples if example.replayed])
        model = outputs.logits[rows][:, : context.old_classes]
        apart = outputs.logits.new_zeros(len(rows)).masked_scatter(rows, (model - parent).square().mean(-1))
        term = self._strength * weighted_mean(apart, counts, batch.weights)
        if self._label_strength != 1:
            labels = context.task_loss(outputs, batch) * replayed
            term = term + (self._label_strength - 1) * weighted_mean(labels, [1] * len(labels), batch.weights)
        return term
