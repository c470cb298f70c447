"""Weights between the parent's and the trained ones (WiSE-FT, Wortsman et al. 2022).

After an update w = w* + α (w_trained - w*), w* where the update found the weights: on the way between both a
model often keeps more of the old than at its end, and loses little of the new. It costs a copy of the weights that
move. Where ``tune`` is LoRA its two factors are averaged, not their product: the difference is α (1 - α) times the
product of both factors' ways, small where an adapter is continued.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from daemon.training.optimiser import HEAD


class Averaging:
    """Made before the first step; ``old_classes``: rows of the head that the parent had.

    The head's other rows are not averaged: the parent knew nothing of them.
    """

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], old_classes: int) -> None:
        self._weights: Sequence[Tensor] = [
            weights.detach()[:old_classes] if name.startswith(HEAD) else weights.detach() for name, weights in named
        ]
        self._start = [weights.clone() for weights in self._weights]
        self._end: Sequence[Tensor] = ()

    def apply(self, ratio: float) -> None:
        """After the last step, in place: ``ratio`` (α, in [0, 1]) of the whole way, whatever was applied before."""
        if not self._end and ratio == 1:
            return
        self._end = self._end or [weights.clone() for weights in self._weights]
        for weights, start, end in zip(self._weights, self._start, self._end, strict=True):
            weights.copy_(torch.lerp(start, end, ratio))
