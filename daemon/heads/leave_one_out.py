"""Choosing the ridge and the temperature: each sampled example is answered as if it had not been learnt.

f₋ᵢ = (f − h y)/(1 − h) with h = zᵀPz is what ridge regression would say of an example without having seen it
(Allen 1974), so nothing need be kept out. The ridge with the lowest log loss on the sample, under the best
temperature for it, is found by climbing a grid of factors of two from the present one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LEAST, MOST = 2.0**-8, 2.0**3
"""Bounds of the ridge."""
_TEMPERATURES = np.geomspace(1.0, 64.0, 37)


@dataclass(frozen=True, slots=True)
class Choice:
    """``loss``: mean negative log-likelihood, nats."""

    ridge: float
    temperature: float
    loss: float


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The sample: ``projected`` [N, d] with ``targets`` [N], columns of ``cross`` [d, C] = Σzyᵀ. What the ridge gives
    a class counts as f · ``boost`` + ``offsets`` [N, C], both as they are without the example itself."""

    projected: Tensor
    cross: Tensor
    targets: NDArray[np.int64]
    boost: NDArray[Any]
    offsets: NDArray[Any]

    def judge(self, ridge: float, factor: Tensor | None) -> Choice:
        """``factor`` [d, d]: Cholesky's, of Σzzᵀ + ridge·I; None: the sums do not bear that ridge."""
        if factor is None:
            return Choice(ridge, 1.0, math.inf)
        half = torch.linalg.solve_triangular(factor, self.projected.T, upper=False)
        leverage = half.square().sum(0)
        fitted = self.projected @ torch.cholesky_solve(self.cross, factor)
        own = torch.from_numpy(self.targets)[:, None]
        left = fitted.scatter_add(1, own, -leverage[:, None]) / (1 - leverage).clamp_min(1e-6)[:, None]
        temperature, loss = best_temperature(left.numpy() * self.boost + self.offsets, self.targets)
        return Choice(ridge, temperature, loss)


def best_temperature(scores: NDArray[np.float32], targets: NDArray[np.int64]) -> tuple[float, float]:
    """``scores`` [N, C], ``targets`` [N] columns -> (temperature, mean negative log-likelihood)."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    mine = shifted[np.arange(len(targets)), targets]
    losses = [
        float((np.log(np.exp(temperature * shifted).sum(axis=1)) - temperature * mine).mean())
        for temperature in _TEMPERATURES
    ]
    best = int(np.argmin(losses))
    return float(_TEMPERATURES[best]), losses[best]


def climb(start: float, judge: Callable[[float], Choice]) -> Choice:
    """The best ridge near ``start``: doubled or halved as long as that lowers the loss. The loss is infinite where no
    ridge up to ``MOST`` has a finite one."""
    best = judge(start)
    while math.isinf(best.loss) and best.ridge * 2.0 <= MOST:
        best = judge(best.ridge * 2.0)
    for factor in (2.0, 0.5):
        moved = False
        while LEAST <= best.ridge * factor <= MOST:
            tried = judge(best.ridge * factor)
            if tried.loss >= best.loss:
                break
            best, moved = tried, True
        if moved:
            break
    return best
