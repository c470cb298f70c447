"""A second task type, one file: what a later room has to write. A number for a text; the score is -|error|."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from daemon.errors import DecodeError
from daemon.events import Event, Input, LabelValue
from daemon.tasks.base import Floats, Metric
from daemon.tasks.metrics import mean_score
from daemon.tasks.schema import normalise_text, validate_text
from strategies.base import Example, Outputs

if TYPE_CHECKING:
    from daemon.models.tokens import Tokenizer


class RegressionTask:
    type = "regression_test"
    metric = Metric("negative_mae")
    has_classes = False

    def validate(self, event: Event) -> None:
        validate_text(event)
        label = event.label
        if label is None:
            return
        if not isinstance(label, float) or not math.isfinite(label):
            raise DecodeError("wrong_label", f"event {event.id!r}: label {label!r} must be a finite number")

    def normalise(self, value: Input) -> str:
        return normalise_text(value.text or "")

    def classes(self, label: LabelValue) -> Sequence[str]:
        return ()

    def aggregate(self, units: Floats) -> float:
        return mean_score(units)

    def encode(
        self,
        event_id: str,
        value: Input,
        label: LabelValue | None,
        labels: Sequence[str],
        tokenizer: Tokenizer,
        max_tokens: int,
    ) -> Example:
        token_ids, type_ids = tokenizer.encode(value, max_tokens)
        target = label if isinstance(label, float) else math.nan
        return Example(event_id, token_ids, target, token_type_ids=type_ids)

    def collate(self, examples: Sequence[Example]) -> Tensor:
        return torch.tensor([example.target for example in examples], dtype=torch.float32)

    def build_head(
        self, hidden: int, labels: Sequence[str], previous: tuple[nn.Module, Sequence[str]] | None, seed: int
    ) -> nn.Module:
        head: nn.Linear = nn.utils.skip_init(nn.Linear, hidden, 1)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            head.weight.copy_(torch.randn(1, hidden, generator=torch.Generator().manual_seed(seed)) * 0.02)
            head.bias.zero_()
        if previous is not None:
            head.load_state_dict(previous[0].state_dict())
        return head

    def loss(self, outputs: Outputs, targets: Tensor) -> Tensor:
        error = (outputs.logits[:, 0] - targets) ** 2
        return torch.where(targets.isnan(), torch.zeros_like(error), error)

    def activate(self, outputs: Outputs) -> Floats:
        values: Floats = outputs.logits.detach().cpu().numpy().astype(np.float64)
        return values

    def decode(self, answers: Floats, labels: Sequence[str], top_k: int) -> Sequence[Mapping[str, Any]]:
        return [{"value": float(row[0])} for row in answers]

    def unit_scores(self, answers: Floats, targets: Sequence[Any]) -> Floats:
        units: Floats = -np.abs(answers - np.asarray(targets, dtype=np.float64)[:, None])
        return units
