"""The same text under two labels: inputs by their key with the label that came last, and who gave it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

REMEMBERED = 20_000
"""Inputs, the longest unheard of first out; some 300 bytes each."""
SHOWN = 100
"""Contradictions that can be looked at; all are counted."""


class Twin(NamedTuple):
    """What is known of an input from another event."""

    id: str
    label: str
    source: str


@dataclass(frozen=True, slots=True)
class Contradiction:
    """One normalised input under two labels, by two events."""

    id: str
    label: str
    source: str
    other_id: str
    other_label: str
    other_source: str


class Inputs:
    def __init__(self) -> None:
        self.contradictions = 0
        """Labels that contradicted an earlier event's on the same normalised input."""
        self._last: dict[str, Twin] = {}
        self._shown: deque[Contradiction] = deque(maxlen=SHOWN)

    @property
    def shown(self) -> tuple[Contradiction, ...]:
        """The newest, newest first."""
        return tuple(reversed(self._shown))

    def twin(self, key: str, event_id: str) -> Twin | None:
        """The last label of that input that another event gave."""
        found = self._last.get(key)
        return None if found is None or found.id == event_id else found

    def put(self, key: str, given: Twin, *, stands: bool) -> None:
        """A label was given to that input: it is the last one where it ``stands``. Where another event gave another,
        that is counted, whether it stands or not."""
        before = self.twin(key, given.id)
        if before is not None and before.label != given.label:
            self.contradictions += 1
            self._shown.append(Contradiction(*given, *before))
        if not stands:
            return
        self._last.pop(key, None)
        self._last[key] = given
        if len(self._last) > REMEMBERED:
            del self._last[next(iter(self._last))]

    def forget(self, key: str, event_id: str) -> None:
        """The event's label does not stand any more."""
        found = self._last.get(key)
        if found is not None and found.id == event_id:
            del self._last[key]

    def erase(self, event_id: str) -> None:
        """The event's id is to be found nowhere."""
        kept = (row for row in self._shown if event_id not in (row.id, row.other_id))
        self._shown = deque(kept, maxlen=SHOWN)

    def dump(self) -> Mapping[str, Any]:
        return {
            "contradictions": self.contradictions,
            "last": [[key, *twin] for key, twin in self._last.items()],
            "shown": [asdict(row) for row in self._shown],
        }

    def load(self, content: Mapping[str, Any]) -> None:
        """From :meth:`dump`. Raises TypeError, KeyError, ValueError."""
        self.contradictions = int(content["contradictions"])
        self._last = {key: Twin(*twin) for key, *twin in content["last"]}
        self._shown = deque((Contradiction(**row) for row in content["shown"]), maxlen=SHOWN)
