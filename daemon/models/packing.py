"""Texts of different lengths without padding: all tokens of a batch in one row, attention per text.

Texts are sorted by length; those of equal length form a *run* whose attention is one dense call. Linear
layers, norms and embeddings see [1, T] tokens and never a padding token. transformers is told of the
attention through its registry of attention functions, so every architecture that uses it is packable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from strategies.base import Example

NAME = "retaind_packed"


@dataclass(frozen=True, slots=True)
class Packed:
    """``order``: the examples' places in the pack; ``runs``: (first token, texts, tokens per text)."""

    input_ids: Tensor
    position_ids: Tensor
    token_type_ids: Tensor
    lengths: tuple[int, ...]
    order: tuple[int, ...]
    runs: tuple[tuple[int, int, int], ...]


def pack(examples: Sequence[Example], device: torch.device) -> Packed:
    """Sorted by length; [1, T] each."""
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].token_ids))
    chosen = [examples[i] for i in order]
    lengths = tuple(len(example.token_ids) for example in chosen)
    ids = [token for example in chosen for token in example.token_ids]
    types = [token for example in chosen for token in example.token_type_ids or (0,) * len(example.token_ids)]
    positions = torch.cat([torch.arange(n) for n in lengths])
    runs, start = [], 0
    for length, group in groupby(lengths):
        count = len(list(group))
        runs.append((start, count, length))
        start += count * length
    return Packed(
        torch.tensor([ids], device=device),
        positions[None].to(device),
        torch.tensor([types], device=device),
        lengths,
        tuple(order),
        tuple(runs),
    )


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    retaind_runs: Sequence[tuple[int, int, int]],
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """[1, heads, T, d] each -> ([1, T, heads, d], None): attention within each text only."""
    outputs = []
    for start, count, length in retaind_runs:
        stop = start + count * length
        q, k, v = (_texts(tensor[0, :, start:stop], count, length) for tensor in (query, key, value))
        out = scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scaling)
        outputs.append(out.transpose(1, 2).reshape(count * length, *out.shape[1::2]))
    return torch.cat(outputs)[None], None


def _texts(tensor: Tensor, count: int, length: int) -> Tensor:
    """[heads, n * L, d] -> [n, heads, L, d]"""
    heads, _, width = tensor.shape
    return tensor.view(heads, count, length, width).transpose(0, 1)


def mean_by_text(hidden: Tensor, lengths: Sequence[int], runs: Sequence[tuple[int, int, int]]) -> Tensor:
    """[T, H] packed tokens -> [B, H] means, in the order of the pack."""
    parts = [hidden[s : s + n * length].view(n, length, hidden.shape[-1]).mean(1) for s, n, length in runs]
    return torch.cat(parts)
