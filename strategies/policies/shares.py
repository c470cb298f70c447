"""Equal shares over classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from strategies.base import Example


def by_class(examples: Sequence[Example]) -> Mapping[str, Sequence[Example]]:
    """In the order of first sight; within a class as given."""
    found: dict[str, list[Example]] = {}
    for example in examples:
        found.setdefault(example.label, []).append(example)
    return found


def shares(sizes: Mapping[str, int], n: int) -> Mapping[str, int]:
    """How many each class gives towards ``n``: all of a small one, and what it lacks is shared out; the others
    equally, to within one. Together min(n, all there are)."""
    given: dict[str, int] = {}
    for place, name in enumerate(sorted(sizes, key=lambda name: (sizes[name], name))):
        given[name] = min(sizes[name], (n - sum(given.values())) // (len(sizes) - place))
    return given


def spread(examples: Sequence[Example], n: int) -> Sequence[Example]:
    """The first of each class, in equal shares, ``n`` in all."""
    classes = by_class(examples)
    given = shares({name: len(members) for name, members in classes.items()}, n)
    return [example for name, members in classes.items() for example in members[: given[name]]]
