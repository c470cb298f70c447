"""Which layers of champion and candidate are the same and stay so: these are run once per text, for both."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from daemon.config.head import NoHead
from daemon.config.task import TaskConfig
from daemon.errors import ConfigError
from daemon.models.encoder import Encoder
from daemon.models.prefix import Prefix
from daemon.models.tuning import layer_stack


def share_prefix(candidate: Encoder, champion: Encoder, config: TaskConfig) -> int:
    """Shorten both where they agree below what moves, the candidate alone where they do not. Returns how many layers
    are run once; 0: adapters and dropout reach down to the first layer, or the encoder has no stack of layers."""
    try:
        layers = list(layer_stack(candidate))
    except ConfigError:
        return 0
    deepest = 1 if isinstance(config.head, NoHead) else config.head.layers
    depth = min(_still(candidate, layers), len(layers) + 1 - deepest)
    if depth < 1 or config.training.dropout_ratio or candidate.peft is not None or not candidate.packed:
        return 0
    prefix = Prefix(depth)
    same = champion.packed and champion.peft is None and _agree(_below(candidate, depth), _below(champion, depth))
    candidate.shorten(layers, prefix)
    if same:
        champion.shorten(list(layer_stack(champion)), prefix)
    return depth


def _still(encoder: Encoder, layers: Sequence[nn.Module]) -> int:
    """How many of its lowest layers have no weight that moves, nor has anything below them."""
    depth = 0
    while depth < len(layers) and not any(weights.requires_grad for weights in layers[depth].parameters()):
        depth += 1
    return 0 if any(weights.requires_grad for weights in _below(encoder, depth)) else depth


def _below(encoder: Encoder, depth: int) -> Sequence[Tensor]:
    """All weights but those of the layers above ``depth``."""
    above = {id(weights) for layer in layer_stack(encoder)[depth:] for weights in layer.parameters()}
    return [weights for weights in encoder.parameters() if id(weights) not in above]


def _agree(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> bool:
    return len(ours) == len(theirs) and all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
