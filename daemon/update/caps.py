"""How many new events of an update may come from one source, or be of one class (config ``trust``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from daemon.config.task import Trust
from daemon.events import StoredEvent
from daemon.tasks.base import TaskSchema


def capped(events: Sequence[StoredEvent], trust: Trust, schema: TaskSchema) -> list[StoredEvent]:
    """``events``, oldest first, without what is over a cap: of each source and each class the newest stay. What
    is left out is no longer new, but strategies may draw it for replay."""
    if not (trust.max_new_per_source or trust.max_new_per_class):
        return list(events)
    sources, classes = Counter[str](), Counter[str]()
    kept: list[StoredEvent] = []
    for event in reversed(events):
        names = () if event.label is None else schema.classes(event.label)
        full = _full(sources, (event.source,), trust.max_new_per_source)
        if full or _full(classes, names, trust.max_new_per_class):
            continue
        sources[event.source] += 1
        classes.update(names)
        kept.append(event)
    return kept[::-1]


def _full(counts: Counter[str], names: Iterable[str], most: int) -> bool:
    return most > 0 and any(counts[name] >= most for name in names)
