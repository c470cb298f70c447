"""Champion and candidate on the same rows: the two arrays that the gate judges.

Each model chooses among the labels that it knows; scores are made by class name, so that label lists
may differ. A model that knows nothing yet scores as one that is always wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from daemon.events import StoredEvent
from daemon.tasks.base import Floats
from daemon.training.answers import Fast, HeadOutputs
from daemon.training.rows import RowEncoder


def unit_scores(outputs: HeadOutputs, fast: Fast | None, rows: Sequence[StoredEvent], encoder: RowEncoder) -> Floats:
    """[N, k] scores of ``rows``, as the task counts them ([0, 1] without rows)."""
    if not rows:
        return np.zeros((0, 1))
    answers, labels = outputs.answers(fast)
    targets = [example.target for example in encoder.encode(rows, labels)]
    if answers.shape[1] == 0:  # one class that is nobody's, so that every row is wrong
        answers = np.zeros((len(rows), 1))
    return np.asarray(encoder.task.unit_scores(answers, targets), np.float64)


def save_scores(path: Path, scores: Mapping[str, Floats]) -> None:
    """float64 arrays, by the names that ``daemon.update.job`` gives them."""
    save_file({name: np.ascontiguousarray(array, np.float64) for name, array in scores.items()}, path)
