"""What a plugin keeps, as named tensors and back: no pickles.

A kept attribute is ``ParamData`` (Avalanche's tensor that can grow) in dictionaries of any depth. Its name in the
version is the JSON list of the attribute and the keys: ``["importances", 0, "head.weight"]``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from strategies.avalanche_plugins import Path, Plugin

Wrap = Callable[[str, Tensor], Any]
"""(name, tensor) -> ParamData."""


def encode(plugin: object, row: Plugin) -> dict[str, Tensor]:
    """Raises TypeError, with the plugin's name, where something kept is no tensor."""
    kept = {}
    for path in row.keeps:
        for place, tensor in _leaves(plugin, path, _at(plugin, path)):
            kept[json.dumps(place)] = tensor.detach().clone()
    return kept


def decode(plugin: object, row: Plugin, kept: Mapping[str, Tensor], weights: Mapping[str, Tensor], wrap: Wrap) -> None:
    """Into a plugin that was just made. ``weights``: those that move, by name; rows of theirs that are new get 0,
    and what has no weight any more is left out."""
    like = {}
    for name, tensor in kept.items():
        place = tuple(json.loads(name))
        fitted = _fit(tensor, weights.get(place[-1]))
        if fitted is not None:
            _put(plugin, place, wrap(place[-1], fitted))
            like[place[-1]] = fitted
    for path in row.blank:
        for key, tensor in like.items():
            _put(plugin, (*path, key), wrap(key, torch.zeros_like(tensor)))


def unshare(plugin: Any, row: Plugin) -> None:
    """Give each tensor of ``row.copied`` memory of its own."""
    for path in row.copied:
        for held in _at(plugin, path).values():
            held.data = held.data.clone()


def _fit(tensor: Tensor, weights: Tensor | None) -> Tensor | None:
    """A copy with ``weights``' shape, or flat where the plugin keeps it flat. None where it does not fit."""
    if weights is None:
        return None
    shape = weights.flatten().shape if tensor.dim() == 1 else weights.shape
    if tensor.shape[1:] != shape[1:] or len(tensor) > shape[0]:
        return None
    return torch.cat([tensor, tensor.new_zeros(shape[0] - len(tensor), *shape[1:])])


def _leaves(plugin: object, path: Path, found: Any) -> Iterator[tuple[Path, Tensor]]:
    if isinstance(found, Mapping):
        for key, value in found.items():
            yield from _leaves(plugin, (*path, key), value)
        return
    tensor = getattr(found, "data", None)
    if not isinstance(tensor, Tensor):
        where = ".".join(str(part) for part in path)
        raise TypeError(f"{type(plugin).__name__}.{where} is {type(found).__name__}; only tensors can be kept")
    yield path, tensor


def _at(plugin: object, path: Path) -> Any:
    found = getattr(plugin, str(path[0]))
    for key in path[1:]:
        found = found[key]
    return found


def _put(plugin: object, path: Path, value: Any) -> None:
    """Makes what is missing on the way."""
    attribute = str(path[0])
    if getattr(plugin, attribute) is None:
        setattr(plugin, attribute, {})
    found = getattr(plugin, attribute)
    for key in path[1:-1]:
        if isinstance(found, dict) and key not in found:
            found[key] = {}
        found = found[key]
    found[path[-1]] = value
