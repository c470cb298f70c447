"""Labels that a rollback left out: taken out of a HeadState that holds them, and put in again when they count again.

A window of label times is *active* while its labels count for nothing. Which windows a HeadState stands under is kept
beside it; the first time it is what the version's update knew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import orjson

from daemon.buffer.ports import BufferReader
from daemon.durable import write_atomically
from daemon.heads.ports import HeadState
from daemon.roles.replay import Standpoint, replay
from daemon.serving.served import ServedModel
from daemon.tasks.base import TaskSchema
from daemon.trust.ledger import Ledger
from daemon.update.eligible import Window

LEFT_OUT = "left_out.json"
AT_ONCE = 64
"""Events encoded at once."""


class LeavingOut:
    """Of one HeadState on ``served``'s encoder, saved in ``directory``. ``windows``: those in force and those that
    ended."""

    def __init__(
        self,
        task: str,
        schema: TaskSchema,
        reader: BufferReader,
        ledger: Ledger,
        served: ServedModel,
        directory: Path,
        windows: Sequence[Window],
    ) -> None:
        self._task, self._schema, self._reader, self._ledger, self._served = task, schema, reader, ledger, served
        self._path = directory / LEFT_OUT
        self._windows = windows
        self._wanted = [[window.since, window.until, window.active] for window in windows]

    @property
    def changed(self) -> Sequence[Window]:
        """Where the HeadState stands under other windows."""
        known = self._path.exists()
        applied = (
            orjson.loads(self._path.read_bytes()) if known else self._served.version.meta.metrics.get("left_out", [])
        )
        rows = (*self._wanted, *applied)
        changed = {(row[0], row[1]) for row in rows if row not in self._wanted or row not in applied}
        return [Window(*bounds) for bounds in sorted(changed)]

    def slices(self, state: HeadState) -> Iterator[int]:
        """Move what is labelled in changed windows, a slice of inputs at a time; yields how many. After a crash it is
        done again: moving twice is moving once."""
        points = self._standpoints(self.changed, state.cursor)
        while chunk := list(islice(points, AT_ONCE)):
            self._stand(state, chunk)
            yield len(chunk)

    def settle(self) -> None:
        """The HeadState is in line, and saved. Raises OSError."""
        write_atomically(self._path, orjson.dumps(self._wanted))

    def _standpoints(self, changed: Sequence[Window], cursor: int) -> Iterator[tuple[str, Standpoint]]:
        for window in changed:
            for changes in self._reader.labelled_between(self._task, window.since, window.until):
                known = [change for change in changes if change.seq <= cursor]
                for point in replay(known, self._windows):
                    yield changes[0].event.id, point

    def _stand(self, state: HeadState, points: Sequence[tuple[str, Standpoint]]) -> None:
        features = self._served.features([point.input for _, point in points], state.layers)
        for (event_id, point), vector in zip(points, features, strict=True):
            state.remove(point.key, event_id, vector)
            if point.label is not None and not self._ledger.holds(event_id):
                for name in self._schema.classes(point.label):
                    state.add(point.key, event_id, name, np.asarray(vector, dtype=np.float32))
