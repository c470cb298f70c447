"""The fast head anew, on the candidate's features: what it knew was said about another encoder.

At most ``head.refit_max_events`` stored events (chosen when the job was frozen) are encoded once and
folded into a fresh HeadState, which then stands at the job's cursor. Nothing is learnt by gradient here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from daemon.config.head import NoHead
from daemon.config.task import TaskConfig
from daemon.events import Input, StoredEvent
from daemon.heads import get_head
from daemon.heads.blend import align, fit_blend
from daemon.heads.naming import name_classes, name_standing
from daemon.heads.ports import Array, FastWeights, HeadState
from daemon.models.tuned import TunedModel
from daemon.tasks.base import Task
from daemon.training.answers import HeadOutputs, run_heads
from daemon.training.progress import Progress
from daemon.training.rows import RowEncoder

SETTLED = 10
"""Examples of a class from which on the tuned head is asked about it. Before, it says what the older classes look
like, and would outvote the fast head, which knows each example."""


def refit(
    model: TunedModel,
    task: Task,
    config: TaskConfig,
    rows: Sequence[StoredEvent],
    encoder: RowEncoder,
    cursor: int,
    progress: Progress,
) -> HeadState | None:
    """Names come first: they are the first examples of their classes. None where the task has no classes or
    ``head.kind`` is ``none``."""
    kind = get_head(config.head.kind)
    if kind is None or isinstance(config.head, NoHead) or not task.has_classes:
        return None
    state = kind.new(config.head.model_dump(mode="json"))

    def encode(inputs: Sequence[Input]) -> Array:
        examples = [
            task.encode("", value, None, model.labels, encoder.tokenizer, encoder.max_tokens) for value in inputs
        ]
        return run_heads(model, task, examples, state.layers, progress).features

    named = [(event, event.label) for event in rows if isinstance(event.label, str)]
    examples = encoder.encode([event for event, _ in named], model.labels)
    found = run_heads(model, task, examples, state.layers, progress)
    if config.head.names:
        name_standing(state, config.labels, encode)
        name_classes(state, (label for _, label in named), config.labels, encode)
    for (event, label), features in zip(named, found.features, strict=True):
        state.add(event.key, event.id, label, features)
    state.advance(cursor)
    return state


def choose_blend(outputs: HeadOutputs, fast: FastWeights, rows: Sequence[StoredEvent]) -> float:
    """The tuned head's weight by the log loss of validation ``rows``; ½ without any."""
    tuned, labels = outputs.settled
    place = {label: column for column, label in enumerate(labels)}
    targets = np.array([place.get(event.label, -1) if isinstance(event.label, str) else -1 for event in rows], int)
    if not len(targets):
        return fit_blend(np.zeros((0, 0)), np.zeros((0, 0)), targets)
    return fit_blend(tuned, align(fast.probabilities(outputs.features), fast.labels, labels), targets)


def young_classes(labels: Sequence[str], rows: Sequence[StoredEvent], most: int) -> frozenset[str]:
    """Those with fewer than ``SETTLED`` examples. ``rows``: the refit's, at most ``most``; where there are so many, a
    class that has its equal share of them may have more in the buffer, and is not young."""
    counts = Counter(event.label for event in rows if isinstance(event.label, str))
    least = SETTLED if len(rows) < most else min(SETTLED, most // max(1, len(counts)))
    return frozenset(label for label in labels if counts[label] < least)
