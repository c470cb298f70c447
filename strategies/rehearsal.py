"""Replay by a strategy that learns from replayed events in its own way: what ``der++`` and ``er_ace`` share.

Alone such a strategy replays as ``replay`` does, with the same options. Behind one that replays already (in the
list ``[replay, er_ace, der++]``) it draws none of its own and learns from those: the first one's draw serves all,
and an update costs what it costs with one of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from strategies.base import Example, TrainContext
from strategies.replay import Replay


class Rehearsal(Replay):
    """Replay that stands back for the rest of an update once it has seen another one's replayed events."""

    _served = False

    def begin(self, context: TrainContext) -> None:
        super().begin(context)
        self._served = False

    def extend(self, context: TrainContext, batch: Sequence[Example]) -> Sequence[Example]:
        self._served = self._served or any(example.replayed for example in batch)
        return batch if self._served else super().extend(context, batch)
