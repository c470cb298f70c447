"""Per-example gradients, measured, by kind of layer: from what a layer saw, and the gradient at its output.

Texts lie packed in one row of tokens, so an example's gradient is a sum over its own tokens; it is measured
(squared, or its magnitude taken) after that sum, and what comes out is added up over examples. Every kind
here is exact. A further kind of layer is one function and a line in :data:`LAYERS`; layers that are not there,
and a weight that several modules share, are differentiated one example at a time (``strategies.gradients``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm


@dataclass(frozen=True, slots=True)
class Measure:
    """What is taken of each number of an example's gradient. ``of``: in place; ``add``: (total, one example's
    gradient of the same shape, which may be overwritten) adds it, in as few passes over memory as there can be."""

    of: Callable[[Tensor], Tensor]
    add: Callable[[Tensor, Tensor], object]


SQUARE = Measure(Tensor.square_, lambda total, gradient: total.addcmul_(gradient, gradient))
MAGNITUDE = Measure(Tensor.abs_, lambda total, gradient: total.add_(gradient.abs_()))


@dataclass(frozen=True, slots=True)
class Seen:
    """Of one layer, over a whole batch: ``inputs`` [T, I] (token ids: [T]), ``gradients`` [T, O] of the loss
    at the output, ``rows`` [T]: the example of each, ascending."""

    inputs: Tensor
    gradients: Tensor
    rows: Tensor

    def sums(self, values: Tensor) -> Tensor:
        """[T, N] -> [B, N]: by example."""
        return values.new_zeros(int(self.rows[-1]) + 1, values.shape[1]).index_add_(0, self.rows, values)


Measured = Callable[[Any, Seen, Mapping[str, Tensor], Measure], None]
"""(layer, what it saw, totals by the name of the layer's own parameter, measure): adds to the totals, in place."""


def linear(layer: nn.Linear, seen: Seen, totals: Mapping[str, Tensor], measure: Measure) -> None:
    """weight: the measure of (sum over tokens of gradient x input), a matrix product an example."""
    if "weight" in totals:
        total = totals["weight"]
        gradient = torch.empty_like(total)
        counts = torch.unique_consecutive(seen.rows, return_counts=True)[1].tolist()
        outputs, inputs = torch.split(seen.gradients, counts), torch.split(seen.inputs, counts)
        for output, given in zip(outputs, inputs, strict=True):
            torch.mm(output.T, given, out=gradient)
            measure.add(total, gradient)
    _bias(seen, totals, measure)


def norm(layer: nn.LayerNorm, seen: Seen, totals: Mapping[str, Tensor], measure: Measure) -> None:
    """weight: the measure of (sum over tokens of gradient x normalised input)."""
    if "weight" in totals:
        normalised = layer_norm(seen.inputs, layer.normalized_shape, eps=layer.eps)
        totals["weight"].add_(measure.of(seen.sums(seen.gradients * normalised)).sum(0))
    _bias(seen, totals, measure)


def embedding(layer: nn.Embedding, seen: Seen, totals: Mapping[str, Tensor], measure: Measure) -> None:
    """weight: the measure of (sum over the places of one token in one example); the padding token's row has no
    gradient."""
    places, inverse = torch.unique(seen.rows * layer.num_embeddings + seen.inputs, return_inverse=True)
    sums = seen.gradients.new_zeros(len(places), layer.embedding_dim).index_add_(0, inverse, seen.gradients)
    ids = places % layer.num_embeddings
    if layer.padding_idx is not None:
        sums[ids == layer.padding_idx] = 0
    totals["weight"].index_add_(0, ids, measure.of(sums))


def _bias(seen: Seen, totals: Mapping[str, Tensor], measure: Measure) -> None:
    if "bias" in totals:
        totals["bias"].add_(measure.of(seen.sums(seen.gradients)).sum(0))


LAYERS: Mapping[type[nn.Module], Measured] = MappingProxyType(
    {nn.Linear: linear, nn.LayerNorm: norm, nn.Embedding: embedding}
)
"""By exact type: a subclass may compute something else."""
