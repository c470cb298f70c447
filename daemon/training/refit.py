"""The fast head anew, on the candidate's features: what it knew was said about another encoder.

At most ``head.refit_max_events`` stored events (chosen when the job was frozen) are encoded once and
folded into a fresh HeadState, which then stands at the job's cursor. Nothing is learnt by gradient here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from daemon.events import StoredEvent
from daemon.heads import get_head
from daemon.heads.blend import align, fit_blend
from daemon.heads.ports import FastWeights, HeadState
from daemon.models.tuned import TunedModel
from daemon.tasks.base import Task
from daemon.training.answers import HeadOutputs, run_heads
from daemon.training.progress import Progress
from daemon.training.rows import RowEncoder


def refit(
    model: TunedModel,
    task: Task,
    options: Mapping[str, Any],
    rows: Sequence[StoredEvent],
    encoder: RowEncoder,
    cursor: int,
    progress: Progress,
) -> HeadState | None:
    """``options``: config ``head`` with its ``kind``. None where the task has no classes or ``kind`` is
    ``none``. Raises ConfigError for an unknown kind."""
    kind = get_head(str(options["kind"]))
    if kind is None or not task.has_classes:
        return None
    state = kind.new(options)
    named = [(event, event.label) for event in rows if isinstance(event.label, str)]
    examples = encoder.encode([event for event, _ in named], model.labels)
    found = run_heads(model, task, examples, state.layers, progress)
    for (event, label), features in zip(named, found.features, strict=True):
        state.add(event.key, event.id, label, features)
    state.advance(cursor)
    return state


def choose_blend(outputs: HeadOutputs, fast: FastWeights, rows: Sequence[StoredEvent]) -> float:
    """The tuned head's weight by the log loss of validation ``rows``; ½ without any."""
    place = {label: column for column, label in enumerate(outputs.labels)}
    targets = np.array([place.get(event.label, -1) if isinstance(event.label, str) else -1 for event in rows], int)
    if not len(targets):
        return fit_blend(np.zeros((0, 0)), np.zeros((0, 0)), targets)
    aligned = align(fast.probabilities(outputs.features), fast.labels, outputs.labels)
    return fit_blend(outputs.tuned, aligned, targets)
