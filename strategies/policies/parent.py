"""What the parent's model makes of examples, for policies that choose by it: one forward pass each, no gradients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from strategies.base import Example, TrainContext

Array = NDArray[np.float32]

BATCH = 64
"""Examples of one forward pass."""


def features(context: TrainContext, examples: Sequence[Example]) -> Array:
    """[N, H], each row of length 1: the mean over the last layer's tokens."""
    parent = context.parent()
    parts = [parent.forward(part).pooled.detach().float().cpu().numpy() for part in _parts(examples)]
    rows: Array = np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
    return unit(rows)


def losses(context: TrainContext, examples: Sequence[Example]) -> Array:
    """[N]: the task's loss of each, under the parent. Their targets must be among those that the parent knows."""
    parent = context.parent()
    parts = [
        context.task_loss(parent.forward(part), context.collate(part)).detach().float().cpu().numpy()
        for part in _parts(examples)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def unit(rows: Array) -> Array:
    """Rows scaled to length 1; one of zeros stays."""
    lengths: Array = np.linalg.norm(rows, axis=-1, keepdims=True)
    return (rows / np.maximum(lengths, 1e-12)).astype(np.float32)


def _parts(examples: Sequence[Example]) -> Sequence[Sequence[Example]]:
    return [examples[start : start + BATCH] for start in range(0, len(examples), BATCH)]
