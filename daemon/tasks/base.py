"""What a task is: everything that depends on the kind of label, and nothing about streams.

A task type is one file with one class (plus its line in the registry of ``daemon.tasks``). Its
torch-free half, :class:`TaskSchema`, serves ingest and the gate. Answers are numpy arrays
("activated" outputs: probabilities, values ...), so that whatever produced them (tuned head, fast head,
a blend) is decoded and scored in one way. ``tests/tasks/contract.py`` is the suite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from daemon.events import Event, Input, LabelValue
from strategies.base import Example, Outputs

if TYPE_CHECKING:
    from torch import Tensor, nn

    from daemon.models.tokens import Tokenizer

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Metric:
    """The primary metric. ``direction`` +1: more is better."""

    name: str
    direction: Literal[1, -1] = 1


class TaskSchema(Protocol):
    """The half that needs no torch."""

    type: str
    metric: Metric
    has_classes: bool
    """Whether labels are classes of a set that can grow."""

    def validate(self, event: Event) -> None:
        """Raise DecodeError where input or label do not fit this type of task."""

    def normalise(self, value: Input) -> str:
        """The text under which equal inputs are equal (Unicode NFKC, white space, case kept)."""

    def classes(self, label: LabelValue) -> Sequence[str]:
        """The class names a label brings (none for regression)."""

    def aggregate(self, units: Floats) -> float:
        """[N, k] unit scores -> the metric (for accuracy: the mean of [N, 1])."""


class Task(TaskSchema, Protocol):
    def encode(
        self,
        event_id: str,
        value: Input,
        label: LabelValue | None,
        labels: Sequence[str],
        tokenizer: Tokenizer,
        max_tokens: int,
    ) -> Example:
        """Token ids and target. A label outside ``labels`` gets a target that ``loss`` ignores
        and ``unit_scores`` counts as wrong."""

    def collate(self, examples: Sequence[Example]) -> Tensor:
        """Targets [B, ...]."""

    def build_head(
        self, hidden: int, labels: Sequence[str], previous: tuple[nn.Module, Sequence[str]] | None, seed: int
    ) -> nn.Module:
        """A head for ``labels``; rows of labels that ``previous`` has keep their values, bit for bit."""

    def loss(self, outputs: Outputs, targets: Tensor) -> Tensor:
        """[B], per example."""

    def activate(self, outputs: Outputs) -> Floats:
        """Outputs -> answers: [B, C] probabilities, [B, 1] values ..."""

    def decode(self, answers: Floats, labels: Sequence[str], top_k: int) -> Sequence[Mapping[str, Any]]:
        """Answers -> the task's fields of a prediction (``label``, ``score``, ``scores`` ...)."""

    def unit_scores(self, answers: Floats, targets: Sequence[Any]) -> Floats:
        """[N, k] per-row scores that ``aggregate`` makes the metric of."""
