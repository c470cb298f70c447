"""Sequence classification: a linear head on the mean-pooled last layer, one row per class, growing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from daemon.events import Input, LabelValue
from daemon.tasks.base import Floats
from daemon.tasks.schema import SequenceSchema
from strategies.base import Example, Outputs

if TYPE_CHECKING:
    from daemon.models.tokens import Tokenizer

UNKNOWN = -100
"""The target of a label outside the label set: no loss, counted as wrong."""


class SequenceTask(SequenceSchema):
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
        name = label if isinstance(label, str) else ""
        target = labels.index(name) if name in labels else UNKNOWN
        return Example(event_id, token_ids, target, name, token_type_ids=type_ids)

    def collate(self, examples: Sequence[Example]) -> Tensor:
        return torch.tensor([example.target for example in examples], dtype=torch.long)

    def build_head(
        self, hidden: int, labels: Sequence[str], previous: tuple[nn.Module, Sequence[str]] | None, seed: int
    ) -> nn.Linear:
        """Rows start at N(0, 0.02²), as transformers starts classifiers."""
        generator = torch.Generator().manual_seed(seed)
        head: nn.Linear = nn.utils.skip_init(nn.Linear, hidden, 1)  # type: ignore[no-untyped-call]
        head.out_features = len(labels)
        head.weight = nn.Parameter(torch.randn(len(labels), hidden, generator=generator) * 0.02)
        head.bias = nn.Parameter(torch.zeros(len(labels)))
        with torch.no_grad():
            if previous is not None:
                old, old_labels = previous
                assert isinstance(old, nn.Linear)
                rows = {name: row for row, name in enumerate(old_labels)}
                for row, name in enumerate(labels):
                    if name in rows:
                        head.weight[row] = old.weight[rows[name]].to(head.weight.device)
                        head.bias[row] = old.bias[rows[name]].to(head.bias.device)
        return head

    def loss(self, outputs: Outputs, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs.logits, targets, reduction="none", ignore_index=UNKNOWN)

    def activate(self, outputs: Outputs) -> Floats:
        probabilities: Floats = outputs.logits.detach().float().softmax(-1).cpu().numpy().astype(np.float64)
        return probabilities

    def decode(self, answers: Floats, labels: Sequence[str], top_k: int) -> Sequence[Mapping[str, Any]]:
        decoded = []
        for row in answers:
            best = np.argsort(-row, kind="stable")[:top_k]
            scores = {labels[i]: float(row[i]) for i in best}
            decoded.append({"label": labels[best[0]], "score": float(row[best[0]]), "scores": scores})
        return decoded

    def unit_scores(self, answers: Floats, targets: Sequence[Any]) -> Floats:
        """[N, 1]: 1 for a right answer; all 0 where nothing can be answered yet."""
        if answers.shape[1] == 0:
            return np.zeros((len(targets), 1))
        right = answers.argmax(1) == np.asarray(targets, dtype=np.int64)
        units: Floats = right.astype(np.float64)[:, None]
        return units
