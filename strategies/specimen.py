"""A model of a few numbers and a trainer's context around it: what ``check_strategy`` trains."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from math import prod

import torch
from torch import Tensor, nn

from strategies.base import Batch, Example, Model, Outputs, TrainContext

BATCH, EPOCHS, OLD_CLASSES, CLASSES = 4, 2, 3, 5
_WIDTH, _TOKENS = 6, 16


def examples(prefix: str, count: int, classes: range) -> tuple[Example, ...]:
    """Of two to four tokens, the classes in turn."""
    targets = [classes[i % len(classes)] for i in range(count)]
    return tuple(
        Example(f"{prefix}-{i}", tuple(1 + (target + j) % 9 for j in range(2 + i % 3)), target, f"class-{target}")
        for i, target in enumerate(targets)
    )


class SpecimenModel(nn.Module):
    """Packed as the trainer's: embedded tokens of all texts in one row, normed, their mean by text, a linear head."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        maker = torch.Generator().manual_seed(1)
        self.encoder = nn.Embedding(_TOKENS, _WIDTH, _weight=torch.randn(_TOKENS, _WIDTH, generator=maker))
        self.norm = nn.LayerNorm(_WIDTH)
        self.head = nn.Linear(_WIDTH, classes)
        with torch.no_grad():
            self.head.weight.copy_(0.1 * torch.randn(classes, _WIDTH, generator=maker))
            self.head.bias.zero_()
        self._lengths: list[int] = []

    def trainable(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((name, weights) for name, weights in self.named_parameters() if weights.requires_grad)

    def forward(self, examples: Sequence[Example]) -> Outputs:
        self._lengths = [len(example.token_ids) for example in examples]
        tokens = torch.tensor([token for example in examples for token in example.token_ids])
        hidden = self.norm(self.encoder(tokens))
        pooled = torch.stack([text.mean(0) for text in torch.split(hidden, self._lengths)])
        return Outputs(pooled, self.head(pooled), self._lengths, hidden)

    def rows(self, shape: Sequence[int]) -> Tensor | None:
        order = torch.arange(len(self._lengths))
        whole = prod(shape)
        return order.repeat_interleave(torch.tensor(self._lengths)) if whole == sum(self._lengths) else order

    def grown(self, classes: int) -> SpecimenModel:
        """The same weights, with rows for more classes behind the old ones."""
        made = SpecimenModel(classes)
        with torch.no_grad():
            for name, weights in self.named_parameters():
                made.get_parameter(name)[: len(weights)] = weights
        return made


class SpecimenContext(TrainContext):
    """Two epochs over eight new examples, of the classes that ``parent`` does not have."""

    def __init__(self, model: SpecimenModel, pool: Sequence[Example], parent: SpecimenModel | None = None) -> None:
        classes = model.head.out_features
        old = parent.head.out_features if parent else 0
        new = examples("new", 8, range(old, classes))
        labels = [f"class-{i}" for i in range(classes)]
        steps = EPOCHS * len(new) // BATCH
        super().__init__(model, pool, new, labels, old, torch.device("cpu"), random.Random(7), BATCH, steps)
        self._parent = parent or model

    def task_loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        return nn.functional.cross_entropy(outputs.logits, batch.targets, reduction="none")

    def parent(self) -> Model:
        return self._parent

    def collate(self, examples: Sequence[Example]) -> Batch:
        targets = torch.tensor([example.target for example in examples])
        return Batch(examples, targets, torch.tensor([example.weight for example in examples]))
