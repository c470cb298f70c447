"""Cutting a list of examples into forwards of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from strategies.base import Example


def tokens(examples: Sequence[Example]) -> int:
    """How many tokens a packed batch of these has."""
    return sum(len(example.token_ids) for example in examples)


def pieces(examples: Sequence[Example], max_tokens: int) -> Iterator[Sequence[Example]]:
    """In order, each of at most ``max_tokens`` tokens (a longer example stands alone)."""
    start, held = 0, 0
    for at, example in enumerate(examples):
        size = len(example.token_ids)
        if at > start and held + size > max_tokens:
            yield examples[start:at]
            start, held = at, 0
        held += size
    if start < len(examples):
        yield examples[start:]
