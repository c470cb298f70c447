"""Which stored events teach and measure: what a job is made of, and what counts towards one.

Left out are our own suggestions (``source: prediction``), labels that a rollback left out
(:class:`Window`), labels that are held back (:mod:`daemon.trust`), and labels that are no class yet
(``labels.mode: quarantine``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from daemon.config.task import Labels
from daemon.events import StoredEvent
from daemon.tasks.base import TaskSchema
from daemon.tasks.labels import is_class

SUGGESTION = "prediction"
"""The source of a label that is an accepted answer of our own: it teaches nothing and measures nothing."""


@dataclass(frozen=True, slots=True)
class Window:
    """Labels that became known in [since, until), seconds since the epoch, are left out while ``active``."""

    since: float
    until: float
    active: bool = True

    def covers(self, label_time: float | None) -> bool:
        return label_time is not None and self.since <= label_time < self.until


def left_out(windows: Sequence[Window], label_time: float | None) -> bool:
    """Whether a label of that time is in a window that is active."""
    return any(window.active and window.covers(label_time) for window in windows)


@dataclass(frozen=True, slots=True)
class Eligible:
    """``counts``: train rows by label, as the buffer has them; ``suspects``: ids of events whose label is held back."""

    labels: Labels
    schema: TaskSchema
    counts: Mapping[str, int]
    windows: Sequence[Window] = ()
    suspects: AbstractSet[str] = frozenset()

    def known(self, event: StoredEvent) -> bool:
        """Whether the label may be folded: it counts for the fast head, which keeps its own quarantine."""
        if event.source == SUGGESTION or event.id in self.suspects:
            return False
        return not left_out(self.windows, event.label_time)

    def teaches(self, event: StoredEvent) -> bool:
        return self.known(event) and event.label is not None and all(map(self._class, self.schema.classes(event.label)))

    def _class(self, name: str) -> bool:
        return is_class(name, self.counts.get(name, 0), self.labels)
