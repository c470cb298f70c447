"""Texts of different lengths without padding: all tokens of a batch in one row, attention per text.

Texts are sorted by length; those of equal length form a *run* whose attention is one dense call. The row is split into
runs at once: a slice of its own for each would cost a row of zeros for each on the way back. Linear layers, norms and
embeddings see [1, T] tokens and never a padding token. transformers is told of the attention through its registry of
attention functions, so an architecture that uses it is packable, unless its attention looks through a window. Off the
CPU, where many small calls cost more than padding, attention alone is padded: one masked call.
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
    """``order``: the examples' places in the pack; ``runs``: (first token, texts, tokens per text).

    ``slots`` [T] is each token's place in a padded [B, longest] grid, ``mask`` [B, 1, 1, longest] is True
    at tokens; both are only there off the CPU.
    """

    input_ids: Tensor
    position_ids: Tensor
    token_type_ids: Tensor
    lengths: tuple[int, ...]
    order: tuple[int, ...]
    runs: tuple[tuple[int, int, int], ...]
    slots: Tensor | None = None
    mask: Tensor | None = None

    @property
    def back(self) -> list[int]:
        """For each example, in the order given, its place in the pack."""
        return sorted(range(len(self.order)), key=self.order.__getitem__)


def pack(
    examples: Sequence[Example], device: torch.device, first_position: int = 0, grid: bool | None = None
) -> Packed:
    """Sorted by length; [1, T] each. ``grid`` None: padded attention off the CPU only."""
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].token_ids))
    chosen = [examples[i] for i in order]
    lengths = tuple(len(example.token_ids) for example in chosen)
    ids = [token for example in chosen for token in example.token_ids]
    types = [token for example in chosen for token in example.token_type_ids or (0,) * len(example.token_ids)]
    places = torch.cat([torch.arange(n) for n in lengths])
    runs, start = [], 0
    for length, group in groupby(lengths):
        count = len(list(group))
        runs.append((start, count, length))
        start += count * length
    slots = mask = None
    if device.type != "cpu" if grid is None else grid:
        counts = torch.tensor(lengths)
        slots = (torch.repeat_interleave(torch.arange(len(lengths)), counts) * lengths[-1] + places).to(device)
        mask = (torch.arange(lengths[-1]) < counts[:, None])[:, None, None].to(device)
    return Packed(
        torch.tensor([ids], device=device),
        (places + first_position)[None].to(device),
        torch.tensor([types], device=device),
        lengths,
        tuple(order),
        tuple(runs),
        slots,
        mask,
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
    retaind_pack: Packed,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """[1, heads, T, d] each -> ([1, T, heads, d], None): attention within each text only.

    Raises ValueError for an attention that looks through a window, which packing would ignore.
    """
    if sliding_window is not None:
        raise ValueError(f"packed attention has no window; this layer has one of {sliding_window}")
    if retaind_pack.mask is not None and retaind_pack.slots is not None:
        return _attend_grid(query, key, value, retaind_pack.slots, retaind_pack.mask, scaling, dropout), None
    outputs = []
    sizes = [count * length for _, count, length in retaind_pack.runs]
    parts = (torch.split(tensor[0].float(), sizes, dim=1) for tensor in (query, key, value))
    with torch.autocast(query.device.type, enabled=False):  # a CPU's way back through it is slow in bfloat16
        for (_, count, length), *part in zip(retaind_pack.runs, *parts, strict=True):
            q, k, v = (_texts(tensor, count, length) for tensor in part)
            out = scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scaling)
            outputs.append(out.transpose(1, 2).reshape(count * length, *out.shape[1::2]))
    return torch.cat(outputs)[None], None


def _attend_grid(
    query: Tensor, key: Tensor, value: Tensor, slots: Tensor, mask: Tensor, scaling: float | None, dropout: float
) -> Tensor:
    """One call on [B, heads, longest, d]; -> [1, T, heads, d]"""
    texts, longest = mask.shape[0], mask.shape[-1]

    def spread(tensor: Tensor) -> Tensor:
        _, heads, _, width = tensor.shape
        grid = tensor.new_zeros(texts * longest, heads, width).index_copy(0, slots, tensor[0].transpose(0, 1))
        return grid.view(texts, longest, heads, width).transpose(1, 2)

    out = scaled_dot_product_attention(
        spread(query), spread(key), spread(value), attn_mask=mask, dropout_p=dropout, scale=scaling
    )
    return out.transpose(1, 2).reshape(texts * longest, out.shape[1], out.shape[3])[slots][None]


def _texts(tensor: Tensor, count: int, length: int) -> Tensor:
    """[heads, n * L, d] -> [n, heads, L, d]"""
    heads, _, width = tensor.shape
    return tensor.view(heads, count, length, width).transpose(0, 1)


def mean_by_text(hidden: Tensor, runs: Sequence[tuple[int, int, int]]) -> Tensor:
    """[T, H] packed tokens -> [B, H] means, in the order of the pack."""
    parts = torch.split(hidden, [n * length for _, n, length in runs])
    return torch.cat([part.view(n, length, -1).mean(1) for part, (_, n, length) in zip(parts, runs, strict=True)])
