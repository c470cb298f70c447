"""How many new events a task's next update would have."""

from __future__ import annotations

from daemon.buffer.ports import BufferReader
from daemon.config.task import TaskConfig
from daemon.events import Split
from daemon.roles.fast import FastLearner
from daemon.roles.standing import Standing
from daemon.tasks.base import TaskSchema
from daemon.trust.ledger import Ledger
from daemon.update.eligible import Eligible


class Backlog:
    """Eligible train events (and corrections) since the last finished job: those that were folded already are looked up
    once for each job and version, those folded since are counted by the fast learner."""

    def __init__(self, task: str, config: TaskConfig, schema: TaskSchema, reader: BufferReader, ledger: Ledger) -> None:
        self._task = task
        self._config = config
        self._schema = schema
        self._reader = reader
        self._ledger = ledger
        self._before: tuple[tuple[int, FastLearner], int] | None = None

    def events(self, fast: FastLearner, standing: Standing, wanted: int) -> int:
        """``wanted``: so many start an update; with a longer history not all are counted."""
        mark = (standing.covered, fast)
        if self._before is None or self._before[0] != mark:
            self._before = (mark, self._stored(fast, standing, wanted) - fast.train_changes)
        return self._before[1] + fast.train_changes

    def recount(self) -> None:
        """Look them all up again: retracted and erased events count no longer."""
        self._before = None

    def _stored(self, fast: FastLearner, standing: Standing, wanted: int) -> int:
        rows = self._reader.labelled(
            self._task,
            Split.TRAIN,
            after_seq=standing.covered,
            before_seq=fast.cursor,
            limit=max(self._config.update.max_new_events, wanted),
        )
        counts = self._reader.stats(self._task).labels
        held = self._ledger.suspects.ids
        eligible = Eligible(self._config.labels, self._schema, counts, standing.windows, held)
        return sum(map(eligible.teaches, rows))
