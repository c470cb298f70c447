"""Which words a fast head still has to be told: the names of its classes, as inputs to be encoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from daemon.config.task import Labels
from daemon.events import Input
from daemon.heads.ports import Array, HeadState
from daemon.tasks.labels import standing, words

Encode = Callable[[Sequence[Input]], Iterable[Array]]
"""Features [D] of each input, on the state's encoder."""


def name_classes(state: HeadState, labels: Iterable[str], cfg: Labels, encode: Encode) -> None:
    """Give the state the words of those ``labels`` that it has no words of."""
    _name(state, [label for label in dict.fromkeys(labels) if not state.named(label)], cfg, encode)


def name_standing(state: HeadState, cfg: Labels, encode: Encode) -> None:
    """The labels that are known from the start answer from their words, and no others do."""
    known = standing(cfg)
    _name(state, known, cfg, encode)
    state.stand(known)


def _name(state: HeadState, labels: Sequence[str], cfg: Labels, encode: Encode) -> None:
    if labels:
        for label, features in zip(labels, encode([Input(text=words(label, cfg)) for label in labels]), strict=True):
            state.name(label, features)
