"""Freezing a job: which events one update sees, chosen once and written down before training starts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path

import orjson

from daemon.buffer.ports import BufferReader
from daemon.config.head import NoHead
from daemon.config.task import TaskConfig
from daemon.errors import StoreFull
from daemon.events import Split, StoredEvent
from daemon.registry.lineage import untrained
from daemon.registry.version import Version
from daemon.tasks.base import TaskSchema
from daemon.tasks.labels import standing
from daemon.update.aside import lacking, set_aside
from daemon.update.caps import capped
from daemon.update.eligible import Eligible, Window
from daemon.update.job import UpdateJob, write_job
from daemon.update.joint import is_joint
from daemon.update.pool import PoolSource
from strategies.base import PlanStats, Strategy

MAX_VALIDATION_ROWS = 500
BYTES_PER_ROW = 2048
SPARE_BYTES = 256 << 20


def freeze(
    buffer: BufferReader,
    parent: Version,
    config: TaskConfig,
    schema: TaskSchema,
    *,
    cursor: int,
    since_seq: int,
    fast_dir: Path | None,
    strategies: Sequence[Strategy],
    directory: Path,
    job_id: str,
    reason: str,
    created: float,
    seed: int,
    most_new: int | None = None,
    joint_before: int = 0,
    windows: Sequence[Window] = (),
    suspects: AbstractSet[str] = frozenset(),
) -> UpdateJob:
    """Everything up to ``cursor`` that is eligible; what came after ``since_seq`` is new, at most ``most_new`` of it
    (None: ``update.max_new_events``). In a joint training the rest of the history is trained beside it;
    ``joint_before``: train events stored at the last one. ``windows``: labels that a rollback left out; ``suspects``:
    ids of events whose label is held back.

    Raises StoreFull where the disk has no room for the job and its candidate.
    """
    task = parent.meta.task
    eligible = Eligible(config.labels, schema, buffer.stats(task).labels, windows, suspects)
    taught = partial(_those, eligible.teaches)
    stored = sum(eligible.counts.values())
    joint = is_joint(config.update, stored, joint_before)
    limit = stored if joint else config.update.max_new_events if most_new is None else most_new
    arrived = buffer.labelled(task, Split.TRAIN, after_seq=since_seq, before_seq=cursor, limit=limit)
    new = capped(taught(arrived), config.trust, schema)
    older = taught(buffer.labelled(task, Split.TRAIN, before_seq=since_seq, limit=limit)) if joint else []
    stats = PlanStats(
        new_events=len(older) + len(new),
        stored_events=max(0, stored - len(older) - len(new)),
        labels=eligible.counts,
        epochs=config.training.epochs,
        batch_size=config.training.batch_size,
        seed=seed,
    )
    validation = taught(buffer.labelled(task, Split.VALIDATION, before_seq=cursor, limit=MAX_VALIDATION_ROWS))
    holdout = _holdout(
        taught(buffer.labelled(task, Split.HOLDOUT, before_seq=cursor, limit=20 * config.gate.max_rows)),
        config.gate.max_rows,
    )
    pool = [] if joint else PoolSource(buffer, task, new, eligible.teaches, cursor).pool(strategies, stats)
    wanted = lacking(len(holdout) + len(validation), config.gate)
    if wanted and untrained(parent.path):
        trained = {event.key for event in (*older, *new, *pool)}
        drawn = buffer.sample(task, wanted + len(trained), balanced=False, seed=seed, before_seq=cursor)
        validation += [event for event in taught(drawn) if event.key not in trained][:wanted]
        wanted = lacking(len(holdout) + len(validation), config.gate)
    aside = set_aside(new, wanted, config.gate, seed)
    validation += [event for event in new if event.key in aside]
    new = [event for event in (*older, *new) if event.key not in aside]
    pool = [event for event in pool if event.key not in aside]
    refit: Sequence[StoredEvent] = ()
    if not isinstance(config.head, NoHead):
        drawn = buffer.sample(task, config.head.refit_max_events, balanced=True, seed=seed, before_seq=cursor)
        refit = _those(eligible.known, drawn)
    rows = {"new": new, "pool": pool, "validation": validation, "holdout": holdout, "refit": refit}
    directory.parent.mkdir(parents=True, exist_ok=True)
    _check_room(directory.parent, [event for part in rows.values() for event in part], parent)
    old = tuple(orjson.loads((parent.path / "labels.json").read_bytes()))
    job = UpdateJob(
        id=job_id,
        task=task,
        parent=parent.id,
        cursor=cursor,
        labels=_labels(old, config, schema, [*new, *pool, *filter(eligible.teaches, refit)]),
        old_labels=len(old),
        seed=seed,
        created=created,
        config=config.model_dump(mode="json"),
        reason=reason,
        left_out=tuple((window.since, window.until, window.active) for window in windows),
        joint=stored if joint else 0,
    )
    return write_job(directory, job, rows, parent.path, fast_dir)


def _those(eligible: Callable[[StoredEvent], bool], events: Iterable[StoredEvent]) -> list[StoredEvent]:
    return [event for event in events if eligible(event)]


def _labels(
    old: Sequence[str], config: TaskConfig, schema: TaskSchema, events: Sequence[StoredEvent]
) -> tuple[str, ...]:
    """The parent's in their order, the configured ones, then new ones in the order of arrival."""
    labels = dict.fromkeys([*old, *(standing(config.labels) if schema.has_classes else ())])
    for event in sorted(events, key=lambda event: event.seq):
        if event.label is not None:
            labels.update(dict.fromkeys(schema.classes(event.label)))
    return tuple(labels)


def _holdout(rows: Sequence[StoredEvent], most: int) -> Sequence[StoredEvent]:
    """All rows, or where there are more than ``most``, half recent and half balanced over classes."""
    if len(rows) <= most:
        return rows
    half = most // 2
    recent, older = list(rows[-half:]), rows[:-half]
    by_class: dict[object, list[StoredEvent]] = {}
    for event in reversed(older):
        by_class.setdefault(event.label, []).append(event)
    balanced: list[StoredEvent] = []
    queues = list(by_class.values())
    for depth in range(max(map(len, queues))):
        balanced += [queue[depth] for queue in queues if depth < len(queue)]
        if len(balanced) >= half:
            break
    return [*balanced[:half], *recent]


def _check_room(directory: Path, events: Sequence[StoredEvent], parent: Version) -> None:
    size = sum(path.stat().st_size for path in parent.path.rglob("*") if path.is_file())
    text = sum(len(part or "") for event in events for part in (event.input.text, event.input.text_pair))
    need = len(events) * BYTES_PER_ROW + 4 * text + 4 * size + SPARE_BYTES
    free = shutil.disk_usage(directory).free
    if free < need:
        raise StoreFull(
            f"an update of {len(events)} rows needs {need} bytes in {directory}, {free} are free: make room"
        )
