"""Whose tokens a layer sees: for per-example gradients, which need to know where an example begins and ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Rows:
    """Examples in the order in which their rows lie in a layer's input, and the rows of each."""

    order: Sequence[int] = ()
    lengths: Sequence[int] = ()

    def of(self, shape: Sequence[int]) -> Tensor | None:
        """[rows] example of each row of an input of ``shape`` (without its features): its tokens, or, where
        there is one row an example, the example. None where the number of rows fits neither."""
        order = torch.tensor(list(self.order))
        if prod(shape) == sum(self.lengths):
            return torch.repeat_interleave(order, torch.tensor(list(self.lengths)))
        return order if tuple(shape) == (len(self.order),) else None
