"""What the parent version says to a step's examples, on the classes that it knew."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from strategies.base import Example, Outputs, TrainContext


class ParentLogits:
    """The parent's logits, each example's computed once an update and kept while it lasts (on the CPU).

    The parent neither moves nor drops anything out, so that its answer to a text is one. What this costs is a forward
    pass, about a third of what it costs to train the example once, however many epochs see it; and four bytes a class
    and (token's) row.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def of(self, context: TrainContext, examples: Sequence[Example]) -> Tensor:
        """[R, old classes] for the R rows of ``examples`` (of texts: one each), without gradients.

        Only where ``context.old_classes`` > 0: before that the parent has no head.
        """
        missing = {example.event_id: example for example in examples if example.event_id not in self._kept}
        if missing:
            asked = list(missing.values())
            with torch.no_grad():
                outputs = context.parent().forward(asked)
            logits = outputs.logits[:, : context.old_classes].float().cpu()
            self._kept.update(zip(missing, torch.split(logits, row_counts(outputs, len(asked))), strict=True))
        return torch.cat([self._kept[example.event_id] for example in examples]).to(context.device)


def row_counts(outputs: Outputs, examples: int) -> list[int]:
    """How many rows of ``outputs.logits`` each example has: one, or where there is one a token, its tokens."""
    return [1] * examples if len(outputs.logits) == examples else list(outputs.lengths)


def weighted_mean(rows: Tensor, counts: Sequence[int], weights: Tensor) -> Tensor:
    """Of ``rows`` [R], first the mean by example, then the mean by their ``weights`` [B]; 0 where all weigh 0.

    So the trainer takes the mean of the task's loss: a term of this kind is added to an example's loss.
    """
    by_example = rows
    if len(rows) != len(counts):
        by_example = torch.stack([part.mean() for part in torch.split(rows, list(counts))])
    return (by_example * weights).sum() / weights.sum().clamp_min(1e-12)
