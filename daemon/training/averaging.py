"""Weights between the parent's and the trained ones (WiSE-FT, Wortsman et al. 2022).

After an update w = w* + α (w_trained - w*), w* where the update found the weights: on the way between both a
model often keeps more of the old than at its end, and loses little of the new. It costs a copy of the weights that
move. Where ``tune`` is LoRA its two factors are averaged, not their product: the difference is α (1 - α) times the
product of both factors' ways, small where an adapter is continued. An update that starts from the base averages
with the base.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from daemon.training.optimiser import HEAD


class Averaging:
    """Made before the first step; ``ratio``: α, in (0, 1]; ``old_classes``: rows of the head that the parent had.

    The head's other rows are not averaged: the parent knew nothing of them.
    """

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], ratio: float, old_classes: int) -> None:
        self._ratio = ratio
        self._weights: Sequence[Tensor] = [
            weights.detach()[:old_classes] if name.startswith(HEAD) else weights.detach()
            for name, weights in (named if ratio < 1 else ())
        ]
        self._start = [weights.clone() for weights in self._weights]

    def apply(self) -> None:
        """After the last step, in place."""
        for weights, start in zip(self._weights, self._start, strict=True):
            weights.copy_(torch.lerp(start, weights, self._ratio))
