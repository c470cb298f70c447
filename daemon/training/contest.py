"""Champion and candidate answer the same rows, each as it would be served: tuned head and fast head, blended.

Rows that were set aside for the judgement (train rows among those of validation) are members of the fast heads: they
are taken out before they are answered, and put in again. A head may choose its ridge anew without them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from daemon.events import Split, StoredEvent
from daemon.heads.ports import Array, HeadState
from daemon.models.tuned import TunedModel
from daemon.tasks.base import Floats
from daemon.training.answers import Fast, HeadOutputs, run_heads
from daemon.training.progress import Progress
from daemon.training.refit import choose_blend
from daemon.training.rows import RowEncoder
from daemon.training.score import unit_scores


@dataclass(slots=True)
class Contestant:
    """``state``: its fast head's (None: it has none); ``blend``: the tuned head's weight, None: the first rows that
    are answered choose it; ``counts_as_class``: see ``HeadState.weights``."""

    model: TunedModel
    state: HeadState | None
    blend: float | None
    counts_as_class: Callable[[str, int], bool]

    @property
    def fast(self) -> Fast | None:
        """With all that the state holds."""
        if self.state is None or self.blend is None:
            return None
        return Fast(self.state.weights(self.counts_as_class), self.blend)

    def answer(self, rows: Sequence[StoredEvent], encoder: RowEncoder, progress: Progress) -> Floats:
        """[N, k] scores of ``rows``."""
        layers = 0 if self.state is None else self.state.layers
        outputs = run_heads(self.model, encoder.task, encoder.encode(rows, ()), layers, progress)
        if self.state is None:
            return unit_scores(outputs, None, rows, encoder)
        aside = _members(self.state, rows, outputs)
        for event, _, vector in aside:
            self.state.remove(event.key, event.id, vector)
        weights = self.state.weights(self.counts_as_class)
        if self.blend is None:
            self.blend = choose_blend(outputs, weights, rows)
        scores = unit_scores(outputs, Fast(weights, self.blend), rows, encoder)
        for event, label, vector in aside:
            self.state.add(event.key, event.id, label, vector)
        return scores


def _members(
    state: HeadState, rows: Sequence[StoredEvent], outputs: HeadOutputs
) -> list[tuple[StoredEvent, str, Array]]:
    """Of ``rows``, those that the state has learnt, with their class and features."""
    return [
        (event, event.label, vector)
        for event, vector in zip(rows, outputs.features, strict=True)
        if event.split is Split.TRAIN and isinstance(event.label, str) and state.holds(event.key, event.id)
    ]
