"""A symmetric square as it lies on disk: its lower triangle."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def pack(square: Tensor) -> NDArray[np.float32]:
    """The lower triangle of a symmetric [d, d], row after row: [d(d + 1)/2]."""
    full = square.numpy()
    return np.concatenate([row[: place + 1] for place, row in enumerate(full)])


def unpack(triangle: NDArray[np.float32], width: int) -> Tensor:
    """[d, d] again. Raises ValueError for a triangle of another size."""
    if triangle.shape != (width * (width + 1) // 2,):
        raise ValueError(f"triangle: shape {triangle.shape}; {width} wide it has [{width * (width + 1) // 2}]")
    full, at = np.zeros((width, width), np.float32), 0
    for place in range(width):
        full[place, : place + 1] = triangle[at : at + place + 1]
        at += place + 1
    lower = torch.from_numpy(full)
    return lower + torch.tril(lower, -1).T
