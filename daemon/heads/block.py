"""Rows that enter or leave a ridge together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

_LEAVING_COUNTS = 50
"""So many times more than a row that enters: taking out magnifies rounding."""


class Block(NamedTuple):
    """``rows`` [k, d]; ``signs`` [k]: 1 enters, -1 leaves, 0 changes its class only; ``targets`` [k, C]: what is added
    to each class's target, -1 for the class that it leaves."""

    rows: Tensor
    signs: Tensor
    targets: Tensor

    @property
    def rounding(self) -> int:
        """How many rows that enter would round as much."""
        return len(self.rows) + _LEAVING_COUNTS * int((self.signs < 0).sum())


def total(blocks: Sequence[Block]) -> int:
    """Rows in all."""
    return sum(len(block.rows) for block in blocks)


def take(blocks: list[Block], most: int) -> Block:
    """The first of ``blocks``, which are taken away, as one of ``most`` rows where they are small; targets of before a
    class came are 0 for it."""
    taken = [blocks.pop(0)]
    while blocks and total(taken) + len(blocks[0].rows) <= most:
        taken.append(blocks.pop(0))
    classes = max(block.targets.shape[1] for block in taken)
    targets = [pad(block.targets, (0, classes - block.targets.shape[1])) for block in taken]
    return Block(torch.cat([block.rows for block in taken]), torch.cat([b.signs for b in taken]), torch.cat(targets))
