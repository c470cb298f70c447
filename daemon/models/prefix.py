"""Layers that do not move are run once per text: what they give is remembered and shared.

An update that moves the last layers alone reads each text several times: in each epoch, for the fast head's refit, for
the champion's scores and the candidate's. The layers below are the same in all of them.

Guarantees:

1. Outputs are those of the whole encoder, to rounding, and so are gradients in the layers above. What is remembered is
   fp32 in mixed precision too.
2. Memory is bounded: what is over ``max_bytes`` is run anew each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from daemon.models.packing import Packed, pack
from strategies.base import Example

MAX_BYTES = 512 << 20
AT_ONCE = 64
"""Texts that are run through the lower layers at once."""

Key = tuple[tuple[int, ...], tuple[int, ...] | None]


class Prefix:
    """What the lowest ``depth`` layers give, [tokens, H] a text."""

    def __init__(self, depth: int, max_bytes: int = MAX_BYTES) -> None:
        self.depth = depth
        self._left = max_bytes
        self._known: dict[Key, Tensor] = {}

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: Key) -> Tensor | None:
        return self._known.get(key)

    def keep(self, key: Key, hidden: Tensor) -> None:
        """Where it still fits."""
        size = hidden.numel() * hidden.element_size()
        if size <= self._left:
            self._left -= size
            self._known[key] = hidden


class Shortened:
    """A stack of layers that packed texts enter above ``prefix``.

    ``whole`` runs the model around ``layers`` on a pack, from the embeddings on.
    """

    def __init__(self, layers: Sequence[nn.Module], prefix: Prefix, whole: Callable[[Packed, bool], Any]) -> None:
        self._prefix = prefix
        self._whole = whole
        self._entering: Tensor | None = None
        self._left: Tensor | None = None
        self._leaving = False
        for number, layer in enumerate(layers):
            layer.forward = self._wrapped(number + 1, layer.forward)

    def run(self, examples: Sequence[Example], packed: Packed, first_position: int, deep: bool) -> Any:
        """What ``whole(packed, deep)`` gives; hidden states of layers below the prefix's top are not theirs."""
        known = self._lower(examples, packed.input_ids.device, first_position)
        self._entering = torch.cat([known[_key(examples[place])] for place in packed.order])[None]
        try:
            return self._whole(packed, deep)
        finally:
            self._entering = None

    @torch.no_grad()
    def _lower(self, examples: Sequence[Example], device: torch.device, first_position: int) -> dict[Key, Tensor]:
        distinct = {_key(example): example for example in examples}
        known = {key: hidden for key in distinct if (hidden := self._prefix.get(key)) is not None}
        new = [example for key, example in distinct.items() if key not in known]
        for start in range(0, len(new), AT_ONCE):
            chunk = pack(new[start : start + AT_ONCE], device, first_position)
            self._leaving = True
            try:
                with torch.autocast(device.type, enabled=False):
                    self._whole(chunk, False)
            finally:
                self._leaving = False
            assert self._left is not None
            for place, hidden in zip(chunk.order, torch.split(self._left[0], list(chunk.lengths)), strict=True):
                key = _key(new[start + place])
                known[key] = hidden.clone()
                self._prefix.keep(key, known[key])
            self._left = None
        return known

    def _wrapped(self, number: int, run: Callable[..., Any]) -> Callable[..., Any]:
        """Of the layer with that number, from 1."""
        top = self._prefix.depth

        def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
            if self._entering is not None and number <= top:
                return self._entering if number == top else hidden_states
            if self._leaving and number > top:
                return hidden_states
            found = run(hidden_states, *args, **kwargs)
            if self._leaving and number == top:
                self._left = found
            return found

        return forward


def _key(example: Example) -> Key:
    return example.token_ids, example.token_type_ids
