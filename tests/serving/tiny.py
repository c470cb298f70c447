"""A served model small enough for thousands of swaps: a letter embedding for an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor, nn

from daemon.errors import UnknownVersion
from daemon.events import Input
from daemon.heads.ncm import NcmState
from daemon.registry.version import Registry, Version, VersionMeta
from daemon.serving.served import ServedModel
from daemon.tasks import get_task
from strategies.base import Example

HIDDEN = 8
TASK = "support"


@dataclass
class TinyEncoded:
    pooled: Tensor
    features: Tensor | None
    hidden: Tensor
    lengths: Sequence[int]


class TinyEncoder(nn.Module):
    """Every layer sees the letters a little differently."""

    hidden_size = HIDDEN
    device = torch.device("cpu")

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(256, HIDDEN, generator=torch.Generator().manual_seed(seed)))

    def forward(self, examples: Sequence[Example], layers: int = 0) -> TinyEncoded:
        rows = [self.table[list(example.token_ids)] for example in examples]
        pooled = torch.stack([row.mean(0) for row in rows]) if rows else torch.zeros(0, HIDDEN)
        features = None
        if layers:
            parts = [nn.functional.normalize(pooled.roll(layer, 1), dim=1) for layer in range(layers)]
            features = torch.cat(parts, dim=1) / layers**0.5
        hidden = torch.cat([*rows, torch.zeros(0, HIDDEN)])
        return TinyEncoded(pooled, features, hidden, [len(example.token_ids) for example in examples])


class TinyTokenizer:
    def encode(self, value: Input, max_tokens: int) -> tuple[tuple[int, ...], None]:
        return tuple((value.text or "").encode()[:max_tokens]), None

    def encode_many(self, values: list[Input], max_tokens: int) -> list[tuple[tuple[int, ...], None]]:
        return [self.encode(value, max_tokens) for value in values]


def version(number: int, path: Path | None = None, *, cursor: int = 0) -> Version:
    meta = VersionMeta(TASK, "sequence", "tiny", "0" * 64, 32, cursor=cursor)
    return Version(f"{number:06d}", 0.0, meta, {}, path or Path("/nonexistent"))


def served(number: int, labels: Sequence[str] = (), *, cursor: int = 0, damage: float = 0.0) -> ServedModel:
    """A version whose encoder comes from its number, with a tuned head for ``labels``."""
    encoder, head = TinyEncoder(number), None
    if labels:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(number)
            head = nn.Linear(HIDDEN, len(labels))
    if damage:
        with torch.no_grad():
            encoder.table.add_(damage)
    model = cast(
        Any, SimpleNamespace(encoder=encoder.eval(), head=head, labels=tuple(labels), task=TASK, young=frozenset())
    )
    return ServedModel(
        version(number, cursor=cursor), model, cast(Any, TinyTokenizer()), None, 0.5, get_task("sequence")
    )


def learnt(model: ServedModel, pairs: Sequence[tuple[str, str]], cursor: int, layers: int = 3) -> NcmState:
    """A fast head that has folded (text, label) pairs on the model's features."""
    state = NcmState(20.0, layers)
    features = model.features([Input(text=word) for word, _ in pairs], layers)
    for (word, label), row in zip(pairs, features, strict=True):
        state.add(blake2b(word.encode(), digest_size=16).digest(), word, label, row)
    state.advance(cursor)
    return state


class TinyRegistry:
    """Aliases and versions in memory; ``served`` is what loading gives."""

    def __init__(self) -> None:
        self.champion: str | None = None
        self.known: dict[str, Version] = {}
        self.loads: list[str] = []

    def alias(self, task: str, name: str) -> str | None:
        return self.champion

    def load(self, version: str) -> Version:
        self.loads.append(version)
        if version not in self.known:
            raise UnknownVersion(version)
        return self.known[version]

    @property
    def port(self) -> Registry:
        return cast(Registry, self)
