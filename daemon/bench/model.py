"""A served version for the benches: the default encoder, a tuned head and a fast head, both in closed form.

The tuned head is the nearest class mean of pooled features as a linear layer (w = 2 t m, b = -t |m|^2), so
that labels are sure and need no training; the fast head is folded on the same texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from daemon.bench.texts import SUBJECTS, Text, texts
from daemon.config.head import NcmHead
from daemon.config.task import Model
from daemon.config.tune import HeadTune, LastLayersTune
from daemon.events import Input
from daemon.heads.ncm import NcmState
from daemon.heads.store import save_weights
from daemon.models.base import resolve_base
from daemon.models.encoder import Encoder
from daemon.models.tokens import Tokenizer
from daemon.models.tuned import TunedModel, save_tuned
from daemon.models.tuning import apply_tuning
from daemon.registry.store import FileRegistry
from daemon.registry.version import Version, VersionMeta
from daemon.serving.loading import load_served
from daemon.serving.served import ServedModel
from daemon.tasks import get_task
from daemon.tasks.base import Task
from strategies.base import Example

TASK = "bench"
LABELS = tuple(SUBJECTS)
MAX_TOKENS = 128
CPU = torch.device("cpu")
SHOWN = 400
"""Texts that the heads are made from; none of them is asked."""
TEMPERATURE = 10.0


def publish_version(registry: FileRegistry, scratch: Path, *, moved: int = 0) -> Version:
    """A version of ``TASK``. With ``moved`` its encoder's weights and its classes differ from the base's and from
    those of another ``moved``: version n knows 5 to 20 classes."""
    base, task = resolve_base(Model()), get_task("sequence")
    encoder = Encoder.load(base, CPU)
    tune = LastLayersTune(layers=2) if moved else HeadTune()
    if moved:
        apply_tuning(encoder, tune, moved)
        _move(encoder, moved)
    labels = LABELS[: 5 + (3 * moved) % 16] if moved else LABELS
    shown = [text for text in texts(SHOWN, seed=-1) if text.label in labels]
    head = _head(encoder, task, shown, labels, moved)
    staging = scratch / f"staging-{moved}"
    save_tuned(TunedModel(encoder, head, labels, task), tune, staging)
    meta = VersionMeta(TASK, "sequence", base.name, base.sha256, MAX_TOKENS, tune=tune.model_dump(mode="json"))
    return registry.publish(staging, meta, created=float(moved))


def tuned_only(version: Version) -> ServedModel:
    """The version answering with its tuned head alone: what a pipeline would compute."""
    return load_served(version, None, CPU)


def with_fast_head(served: ServedModel, heads: Path) -> ServedModel:
    """The same with the default fast head beside it, through the files that a learner would write to ``heads``."""
    options = NcmHead()
    state = NcmState(options.temperature, options.layers)
    shown = texts(SHOWN, seed=-1)
    features = served.features([Input(text=text.text) for text in shown], options.layers)
    for number, (text, row) in enumerate(zip(shown, features, strict=True)):
        state.add(number.to_bytes(16, "big"), str(number), text.label, row)
    save_weights(heads, state.weights(), 0.5)
    return load_served(served.version, heads, CPU)


def encode(rows: Sequence[Text], labels: Sequence[str], task: Task) -> list[Example]:
    """Token ids and targets of the texts, by the base's own tokenizer."""
    tokenizer = Tokenizer.load(resolve_base(Model()).path)
    return [
        task.encode(str(number), Input(text=row.text), row.label, labels, tokenizer, MAX_TOKENS)
        for number, row in enumerate(rows)
    ]


def padding_ratio(examples: Sequence[Example], batch: int) -> float:
    """Tokens of padded batches in this order ÷ tokens of the texts: what a peer that pads computes for each of ours."""
    lengths = [len(example.token_ids) for example in examples]
    batches = [lengths[start : start + batch] for start in range(0, len(lengths), batch)]
    return round(sum(max(one) * len(one) for one in batches) / sum(lengths), 2)


@torch.no_grad()
def _move(encoder: Encoder, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in encoder.parameters():
        if parameter.requires_grad:
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.002)


@torch.inference_mode()
def _head(encoder: Encoder, task: Task, shown: Sequence[Text], labels: Sequence[str], seed: int) -> nn.Module:
    pooled = encoder(encode(shown, labels, task)).pooled
    means = torch.stack([pooled[[text.label == label for text in shown]].mean(0) for label in labels])
    head = task.build_head(encoder.hidden_size, labels, None, seed)
    head.load_state_dict({"weight": 2 * TEMPERATURE * means, "bias": -TEMPERATURE * means.square().sum(1)})
    return head
