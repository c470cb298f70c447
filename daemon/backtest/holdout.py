"""The rows that are never learned from: encoded once per version, scored as often as wanted.

Rows of one group with the same classes form a part. What the encoder gives for a part is kept until another version
serves; a score is then the fast head's matrix work. Targets are places among the labels, so a part is tokenised
again when one of its classes moved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.events import Event, Input, LabelValue
from daemon.heads.outputs import HeadOutputs, join
from daemon.serving.served import ServedModel
from daemon.tasks.base import TaskSchema
from strategies.base import Example

Units = NDArray[np.floating[Any]]
"""[N, k] unit scores."""


@dataclass(slots=True, eq=False)
class Part:
    """Rows of ``group`` with ``classes`` (none where labels are values)."""

    group: str
    classes: tuple[str, ...]
    rows: list[tuple[Input, LabelValue]] = field(default_factory=list)
    examples: Sequence[Example] = ()
    places: tuple[int | None, ...] = ()
    """Of the classes among the labels that ``examples`` were made for."""
    outputs: HeadOutputs | None = None


class Holdout:
    def __init__(self, events: Iterable[Event], schema: TaskSchema, groups: Sequence[str]) -> None:
        """Events without a group count to the last of ``groups``."""
        parts: dict[tuple[str, tuple[str, ...]], Part] = {}
        for event in events:
            if event.input is None or event.label is None:
                continue
            key = (event.group or groups[-1], tuple(sorted(set(schema.classes(event.label)))))
            parts.setdefault(key, Part(*key)).rows.append((event.input, event.label))
        self.parts: Sequence[Part] = tuple(parts.values())
        self._version: str | None = None

    def units(self, served: ServedModel, layers: int, wanted: Callable[[Part], bool]) -> Sequence[tuple[Part, Units]]:
        """Unit scores [rows, k] of each wanted part, chosen among all labels of ``served``.

        ``layers``: the HeadState's, 0 where there is none.
        """
        if self._version != served.version_id:
            self._version = served.version_id
            for part in self.parts:
                part.outputs, part.places, part.examples = None, (), ()
        chosen = [part for part in self.parts if wanted(part)]
        if not chosen:
            return []
        place = {label: at for at, label in enumerate(served.labels)}
        outputs = [self._outputs(part, served, layers, place) for part in chosen]
        targets = [example.target for part in chosen for example in part.examples]
        units = served.task.unit_scores(served.from_outputs(join(outputs)), targets)
        ends = np.cumsum([len(part.rows) for part in chosen])[:-1]
        return list(zip(chosen, np.split(units, ends), strict=True))

    @staticmethod
    def _outputs(part: Part, served: ServedModel, layers: int, place: Mapping[str, int]) -> HeadOutputs:
        places = tuple(place.get(name) for name in part.classes)
        if not part.examples or places != part.places:
            part.examples, part.places = served.encode_rows(part.rows), places
        if part.outputs is None:
            part.outputs = served.encoded(part.examples, layers)
        return part.outputs
