"""Around a call into Avalanche: its dice, prints, warnings and backward passes touch nothing of the trainer's."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
import torch

from strategies.base import Model

_QUIET = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
"""Meant for those who write Avalanche."""

_GENERATORS: tuple[tuple[Callable[[], Any], Callable[[Any], None]], ...] = (
    (torch.get_rng_state, torch.set_rng_state),
    (random.getstate, random.setstate),
    (np.random.get_state, np.random.set_state),
)


class Scope:
    """``with scope:`` random numbers come from generators of the plugin's own, begun with ``seed`` and going on from
    one call to the next; what is printed is dropped, and so are warnings of deprecation; others are passed on."""

    def __init__(self, seed: int) -> None:
        before = [read() for read, _ in _GENERATORS]
        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        self._own = [read() for read, _ in _GENERATORS]
        _set(before)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        before = [read() for read, _ in _GENERATORS]
        _set(self._own)
        try:
            with quiet():
                yield
        finally:
            self._own = [read() for read, _ in _GENERATORS]
            _set(before)


@contextmanager
def quiet() -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught, redirect_stdout(StringIO()):
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if not issubclass(warning.category, _QUIET):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


@contextmanager
def aside(model: Model) -> Iterator[None]:
    """The gradients lie aside (not copied) and come back, with each module's training mode."""
    gradients = [(weights, weights.grad) for _, weights in model.trainable()]
    modes = [(module, module.training) for _, module in model.named_modules()]
    for weights, _ in gradients:
        weights.grad = None
    try:
        yield
    finally:
        for weights, gradient in gradients:
            weights.grad = gradient
        for module, mode in modes:
            module.training = mode


def _set(states: list[Any]) -> None:
    for (_, write), state in zip(_GENERATORS, states, strict=True):
        write(state)
