"""The writer's counters: per task and per class, in memory, written once per append.

They make split decisions, samples and statistics possible without a scan. ``Counts`` is read from
the file at opening, after a failed transaction, and whenever another connection wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import apsw
import orjson

from daemon.buffer.split import HOLDOUT, VALIDATION
from daemon.config.task import SplitConfig
from daemon.errors import ConfigError, SignatureMismatch


@dataclass(slots=True)
class ClassCount:
    """``rows``: kept events of the class; ``train_rows``: those that train. ``name`` None: no label."""

    id: int
    task: int
    name: str | None
    rows: int = 0
    train_rows: int = 0


@dataclass(slots=True)
class TaskCount:
    id: int
    name: str
    split: SplitConfig
    last_seq: int = 0
    events: int = 0
    pending: int = 0
    expired: int = 0
    sides: dict[int, int] = field(default_factory=lambda: {VALIDATION: 0, HOLDOUT: 0})
    classes: dict[str | None, ClassCount] = field(default_factory=dict)


class Counts:
    def __init__(self, connection: apsw.Connection, splits: Mapping[str, SplitConfig]) -> None:
        """Read the counters; tasks of ``splits`` that are new get a row at the next :meth:`flush`.

        Raises SignatureMismatch where a task's stored split has another ``by`` or ``seed``.
        """
        self.tasks: dict[str, TaskCount] = {}
        """The configured tasks; ``by_id`` has those too that the configuration does not name any more."""
        self.by_id: dict[int, TaskCount] = {}
        self.by_class: dict[int, ClassCount] = {}
        self.last_seq = 0
        next_task = 1
        for id_, name, split, seq, events, validation, holdout, pending, expired in connection.execute(
            "SELECT id, name, split, last_seq, events, validation, holdout, pending, expired FROM tasks"
        ):
            next_task = max(next_task, id_ + 1)
            self.last_seq = max(self.last_seq, seq)
            stored = orjson.loads(split)
            if name in splits:
                _same_split(name, stored, splits[name])
            sides = {VALIDATION: validation, HOLDOUT: holdout}
            task = TaskCount(id_, name, splits.get(name, SplitConfig(**stored)), seq, events, pending, expired, sides)
            self.by_id[id_] = task
            if name in splits:
                self.tasks[name] = task
        for name in splits:
            if name not in self.tasks:
                self.tasks[name] = self.by_id[next_task] = TaskCount(next_task, name, splits[name])
                next_task += 1
        for id_, task_id, name, rows, train in connection.execute(
            "SELECT id, task, name, rows, train_rows FROM classes"
        ):
            entry = ClassCount(id_, task_id, name, rows, train)
            self.by_id[task_id].classes[name] = self.by_class[id_] = entry
        self.next_class = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM classes").get
        self.next_row = connection.execute("SELECT coalesce(max(row), 0) + 1 FROM events").get
        self.any_gone = connection.execute("SELECT EXISTS (SELECT 1 FROM gone)").get == 1
        self._dirty: set[int] = set()
        self._dirty_tasks: set[int] = set()

    def task(self, name: str) -> TaskCount:
        if name not in self.tasks:
            raise ConfigError(f"task: {name!r} is not configured; configured: {', '.join(sorted(self.tasks))}")
        return self.touched_task(self.tasks[name].id)

    def touched_task(self, task_id: int) -> TaskCount:
        self._dirty_tasks.add(task_id)
        return self.by_id[task_id]

    def class_of(self, task: TaskCount, name: str | None) -> ClassCount:
        entry = task.classes.get(name)
        if entry is None:
            entry = ClassCount(self.next_class, task.id, name)
            self.next_class += 1
            task.classes[name] = self.by_class[entry.id] = entry
        self._dirty.add(entry.id)
        return entry

    def touched(self, class_id: int) -> ClassCount:
        self._dirty.add(class_id)
        return self.by_class[class_id]

    def next_seq(self, task: TaskCount) -> int:
        self.last_seq += 1
        task.last_seq = self.last_seq
        return self.last_seq

    def flush(self, connection: apsw.Connection) -> None:
        entries = [self.by_class[id_] for id_ in sorted(self._dirty)]
        connection.executemany(
            "INSERT INTO classes VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE SET rows = ?4, train_rows = ?5",
            [(e.id, e.task, e.name, e.rows, e.train_rows) for e in entries],
        )
        connection.executemany(
            "INSERT INTO tasks VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (id) DO UPDATE SET "
            "last_seq = ?4, events = ?5, validation = ?6, holdout = ?7, pending = ?8, expired = ?9",
            [
                (
                    t.id, t.name, orjson.dumps({"by": t.split.by, "seed": t.split.seed}).decode(), t.last_seq,
                    t.events, t.sides[VALIDATION], t.sides[HOLDOUT], t.pending, t.expired,
                )
                for t in (self.by_id[id_] for id_ in sorted(self._dirty_tasks))
            ],
        )  # fmt: skip
        self._dirty.clear()
        self._dirty_tasks.clear()


def _same_split(task: str, stored: Mapping[str, object], cfg: SplitConfig) -> None:
    for name, value in (("by", cfg.by), ("seed", cfg.seed)):
        if stored[name] != value:
            raise SignatureMismatch(
                f"tasks.{task}.split.{name}: {value!r}, but the buffer was split with {stored[name]!r}; "
                "set it back, or start with another state_dir"
            )
