"""Labels that are remembered by event: a bounded table, oldest first out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Given:
    """One label as its source gave it. ``key``: 16 bytes of its normalised input, in hex; ``seq``: the change that
    brought it; ``train``: whether it is folded; ``place``, ``answer``, ``odds``: the model's word on it, where it
    was asked (:class:`daemon.trust.finding.Finding`)."""

    id: str
    key: str
    label: str
    source: str
    seq: int
    train: bool
    place: int = 0
    answer: str = ""
    odds: float = 1.0


class Entries:
    """By event id. :meth:`put` returns what had to go."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows: dict[str, Given] = {}
        self._ids: dict[str, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._rows

    def __iter__(self) -> Iterator[Given]:
        return iter(tuple(self._rows.values()))

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(self._rows)

    @property
    def full(self) -> bool:
        return len(self._rows) >= self._most

    def of_input(self, key: str) -> Sequence[Given]:
        """What was said of one normalised input."""
        return [self._rows[event_id] for event_id in self._ids.get(key, ())]

    def put(self, given: Given) -> Given | None:
        self.pop(given.id)
        self._rows[given.id] = given
        self._ids[given.key] = (*self._ids.get(given.key, ()), given.id)
        return self.pop(next(iter(self._rows))) if len(self._rows) > self._most else None

    def pop(self, event_id: str) -> Given | None:
        found = self._rows.pop(event_id, None)
        if found is not None:
            left = tuple(other for other in self._ids.pop(found.key) if other != event_id)
            if left:
                self._ids[found.key] = left
        return found

    def dump(self) -> Sequence[Mapping[str, Any]]:
        return [asdict(given) for given in self._rows.values()]

    def load(self, content: Sequence[Mapping[str, Any]]) -> None:
        """From :meth:`dump`. Raises TypeError, KeyError."""
        self._rows, self._ids = {}, {}
        for row in content:
            self.put(Given(**row))
