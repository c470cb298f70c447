"""The model that peers and joint training move: our encoder with a linear head on its mean-pooled last layer.

They get what ours gets: packed batches without padding, frozen word embeddings, the same optimiser, warm-up, decay and
clipping. A text is a row of token ids, filled up with :data:`FILL`, so that Avalanche's data sets and buffers hold it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from daemon.bench.learning.history import History, Row
from daemon.bench.learning.plan import HEAD_TIMES, Trial
from daemon.bench.learning.scores import Right
from daemon.config.task import Model, Training
from daemon.config.tune import FullTune
from daemon.models.base import resolve_base
from daemon.models.encoder import Encoder
from daemon.models.tokens import Tokenizer
from daemon.models.tuning import apply_tuning
from daemon.serving.batching import pieces
from daemon.tasks import get_task
from strategies.base import Example

FILL = -1
FORWARD_TOKENS = 2048
CPU = torch.device("cpu")


class Classifier(nn.Module):
    """[B, W] token ids -> [B, C]. Only what moves is a parameter to whoever asks; ``trained`` counts texts."""

    def __init__(self, encoder: Encoder, classes: int, seed: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = get_task("sequence").build_head(encoder.hidden_size, tuple(map(str, range(classes))), None, seed)
        self.trained = 0

    def forward(self, ids: Tensor) -> Tensor:
        rows = [tuple(token for token in row if token != FILL) for row in ids.tolist()]
        if self.training:
            self.trained += len(rows)
        logits: Tensor = self.head(self.encoder([Example("", row, 0) for row in rows]).pooled)
        return logits

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """Those that move: frozen ones cost a regulariser time and memory, and change nothing."""
        found = super().named_parameters(prefix, recurse, remove_duplicate)
        return ((name, weights) for name, weights in found if weights.requires_grad)


def classifier(trial: Trial, classes: int) -> Classifier:
    """Fresh from the base, everything moving but word embeddings."""
    encoder = Encoder.load(resolve_base(Model.model_validate(trial.task.get("model", {}))), CPU)
    apply_tuning(encoder, FullTune(), trial.seed)
    return Classifier(encoder, classes, trial.seed)


def training(trial: Trial) -> Training:
    """As an update trains, but for the trial's epochs (all of them) and learning rate; nothing is averaged."""
    said = Training.model_validate(trial.task.get("training", {}))
    rates = {"learning_rate": trial.rate, "head_learning_rate": HEAD_TIMES * trial.rate} if trial.rate else {}
    return said.model_copy(update={"epochs": trial.epochs, "patience": 0, "wise_ft_ratio": 1.0, **rates})


def encode(trial: Trial, history: History, rows: Sequence[Row]) -> list[Example]:
    """Token ids and targets among all classes of the stream."""
    model = Model.model_validate(trial.task.get("model", {}))
    tokenizer, task = Tokenizer.load(resolve_base(model).path), get_task("sequence")
    return [task.encode(str(row.at), row.input, row.label, history.labels, tokenizer, model.max_tokens) for row in rows]


def table(examples: Sequence[Example]) -> Tensor:
    """[N, longest] token ids."""
    ids = torch.full((len(examples), max((len(e.token_ids) for e in examples), default=1)), FILL)
    for row, example in enumerate(examples):
        ids[row, : len(example.token_ids)] = torch.tensor(example.token_ids)
    return ids


@torch.inference_mode()
def judge(model: Classifier, examples: Sequence[Example], seen: Sequence[int]) -> Right:
    """1 for each example that the model answers rightly, chosen among the classes ``seen``."""
    known, right = set(seen), np.zeros(len(examples))
    was, columns = model.training, torch.tensor(sorted(known))
    model.eval()
    places = [place for place, example in enumerate(examples) if example.target in known]
    for piece in pieces([examples[place] for place in places], FORWARD_TOKENS):
        chosen = columns[model(table(piece))[:, columns].argmax(1)].tolist()
        here, places = places[: len(piece)], places[len(piece) :]
        right[here] = [answer == example.target for answer, example in zip(chosen, piece, strict=True)]
    model.train(was)
    return right
