"""What a served model would say: tuned head, fast head, and both blended, row by row.

The trainer answers as the predictor does, so that the gate judges what would really be served.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from daemon.heads.blend import DEFAULT_BLEND
from daemon.heads.outputs import Fast, HeadOutputs
from daemon.heads.ports import Array, HeadState
from daemon.heads.store import load_state, load_weights, state_cursor, weights_stamp
from daemon.models.tuned import TunedModel
from daemon.tasks.base import Floats, Task
from daemon.training.progress import Progress
from strategies.base import Example, Outputs

__all__ = ["Fast", "HeadOutputs", "load_fast", "run_heads"]

BATCH = 64
"""Rows of one forward pass."""


def load_fast(directory: Path) -> tuple[HeadState | None, float]:
    """The champion's HeadState of a job with the tuned head's weight; None where the job has none."""
    if state_cursor(directory) is None:
        return None, DEFAULT_BLEND
    weight = load_weights(directory)[1] if weights_stamp(directory) is not None else DEFAULT_BLEND
    return load_state(directory), weight


@torch.no_grad()
def run_heads(
    model: TunedModel, task: Task, examples: Sequence[Example], layers: int, progress: Progress
) -> HeadOutputs:
    """Encode each row once, for both heads. ``model`` in eval mode; ``layers``: 0 for no features."""
    tuned: list[Floats] = [] if examples else [np.zeros((0, len(model.labels)))]
    features: list[Array] = []
    for start in range(0, len(examples), BATCH):
        batch = examples[start : start + BATCH]
        encoded = model.encoder(batch, layers=layers)
        head: Floats = np.zeros((len(batch), 0))
        if model.head is not None:
            logits = model.head(encoded.pooled)
            head = task.activate(Outputs(encoded.pooled, logits, encoded.lengths, encoded.hidden))
        tuned.append(head)
        width = np.zeros((len(batch), 0), np.float32)
        features.append(width if encoded.features is None else encoded.features.float().cpu().numpy())
        progress.at(start + len(batch), len(examples))
    found = np.concatenate(features) if features else np.zeros((0, 0), np.float32)
    return HeadOutputs(np.concatenate(tuned), tuple(model.labels), found, model.young)
