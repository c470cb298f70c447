"""What an arrival does to the buffer: identity, revisions, retraction, erasure, labels alone.

1. (task, id) is unique; the same statement again changes nothing.
2. Of all labels stated for an id, in whatever order they arrive, the one that is latest by
   (label_time, topic, partition, offset) holds; the others stand in the history.
3. Of all inputs stated for an id, the latest by (record time, topic, partition, offset) holds.
4. An erased id stays erased, an evicted one is not stored again.
5. A change is logged only where a label is or was: what has no label taught nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import orjson

from daemon.buffer import outbox, pending
from daemon.buffer.batch import ERASED, EVICTED, Batch, class_name
from daemon.buffer.counts import TaskCount
from daemon.buffer.pending import Statement
from daemon.buffer.ports import Arrival
from daemon.buffer.rows import (
    Row,
    id_digest,
    order_of,
    write_attributes,
    write_label,
    write_tokens,
)
from daemon.buffer.split import split_key
from daemon.errors import StoreError
from daemon.events import ChangeKind, Event, Input, Op

_UNSAID = (None, None, None, "")
"""The fields of a Statement where there is none."""


def apply_all(batch: Batch, arrivals: Sequence[Arrival], now: float) -> Counter[tuple[str, str]]:
    """Apply arrivals in order; returns how many came out how (see AppendReport).

    ``now`` is seconds since the epoch. Raises ConfigError for a task that is not configured.
    """
    tasks = {name: batch.counts.task(name) for name in {arrival.event.task for arrival in arrivals}}
    digests = [id_digest(arrival.event.task, arrival.event.id) for arrival in arrivals]
    keys: dict[str, list[bytes]] = {name: [] for name, task in tasks.items() if task.split.by == "input"}
    for event, _, _, key in arrivals:
        if key is not None and event.task in keys:
            keys[event.task].append(key)
    batch.prefetch(digests, {tasks[name].id: asked for name, asked in keys.items() if asked})
    outcomes: dict[str, list[str]] = {name: [] for name in tasks}
    for arrival, digest in zip(arrivals, digests, strict=True):
        name = arrival.event.task
        outcomes[name] += _apply(batch, tasks[name], digest, arrival, now)
    return Counter({(name, each): number for name, its in outcomes.items() for each, number in Counter(its).items()})


def _apply(batch: Batch, task: TaskCount, digest: bytes, arrival: Arrival, now: float) -> Sequence[str]:
    event = arrival.event
    row = batch.find(digest)
    gone = 0 if row is not None else batch.gone(digest)
    if event.op is Op.DELETE:
        return (_erase(batch, task, row, gone, digest, event),)
    if gone == ERASED or (row is not None and row.erased):
        return ("ignored",)
    if gone == EVICTED:
        return ("duplicate" if event.input is not None else "ignored",)
    said = _statement(arrival)
    if row is not None:
        return (_revise(batch, task, row, arrival, said),)
    if event.input is None:
        if said is None:
            return ("ignored",)
        fresh = pending.wait(batch.connection, task, digest, said, now)
        return ("pending" if fresh else "duplicate",)
    return _store(batch, task, digest, arrival, event.input, said)


def _statement(arrival: Arrival) -> Statement | None:
    event = arrival.event
    label = None if event.op is Op.RETRACT else event.label
    if label is None and event.op is not Op.RETRACT:
        return None
    time = arrival.record_time if event.label_time is None else event.label_time
    stored = label if type(label) is str else write_label(label)
    return Statement(order_of(time, arrival.origin), stored, time, event.source)


def _store(
    batch: Batch, task: TaskCount, digest: bytes, arrival: Arrival, value: Input, said: Statement | None
) -> Sequence[str]:
    event, key = arrival.event, _key(arrival)
    at_once = said is not None and said.label_time == arrival.record_time
    order = said.order if said is not None and at_once else order_of(arrival.record_time, arrival.origin)
    waiting = pending.join(batch.connection, task, digest) if task.pending else None
    first = said if said is not None and said.label is not None and not waiting else None
    label_order, label, label_time, _ = first or _UNSAID
    entry = batch.counts.class_of(task, label if type(label) is str else class_name(label))
    side = None if first is None else batch.split(task, split_key(task.split, key, event.attributes), entry)
    time = arrival.record_time if event.time is None else event.time
    row = Row(  # by place: by name it takes a third longer, and this is the usual event
        batch.counts.next_row, task.id, digest, event.id, time, value.text, value.text_pair,
        None if value.tokens is None else write_tokens(value), key, order,
        write_attributes(event.attributes) if event.attributes else None, side, label, label_time,
        label_order, event.source, entry.id, None, 0, 0, 0,
    )  # fmt: skip
    batch.add(row, task, entry)
    if first is not None:
        batch.change(task, row, ChangeKind.LABEL, None)
        return ("stored",)
    if not waiting:
        if said is not None:
            _say(batch, task, row, said)
        return ("stored",)
    statements = sorted([*waiting, *([said] if said is not None else [])], reverse=True, key=lambda s: s.order)
    for statement in statements:
        _say(batch, task, row, statement)
    return ("stored",) if statements[0] is said else ("stored", "late_label")


def _revise(batch: Batch, task: TaskCount, row: Row, arrival: Arrival, said: Statement | None) -> str:
    value = arrival.event.input
    revised = value is not None and _new_input(batch, task, row, arrival, value)
    outcome = _say(batch, task, row, said) if said is not None else "duplicate"
    if revised and outcome in ("duplicate", "ignored"):
        return "revision"
    return outcome


def _new_input(batch: Batch, task: TaskCount, row: Row, arrival: Arrival, value: Input) -> bool:
    order = order_of(arrival.record_time, arrival.origin)
    if order <= row.input_order:
        return False
    batch.dirty(row)
    row.input_order = order
    key = _key(arrival)
    if key == row.key:
        return False
    event = arrival.event
    if row.seq:
        batch.remember_input(row)
    row.text, row.text_pair, row.tokens, row.key = value.text, value.text_pair, write_tokens(value), key
    row.time = row.time if event.time is None else event.time
    row.attributes = write_attributes(event.attributes) or row.attributes
    row.revision += 1
    if row.split is not None and task.split.by == "input":
        batch.keep_split(task, key, row.split)
    if row.label is not None:
        batch.change(task, row, ChangeKind.INPUT, None)
    return True


def _say(batch: Batch, task: TaskCount, row: Row, said: Statement) -> str:
    """Let a statement about a row's label count; returns the outcome."""
    previous = row.label
    same = said.label == previous and row.label_order is not None
    if row.label_order is not None and said.order <= row.label_order:
        if said.order < row.label_order and not same:
            batch.remember_label(row, said.order, said.label, said.label_time, said.source)
        return "duplicate" if same else "ignored"
    if row.label_order is not None and not same:
        batch.remember_label(row, row.label_order, previous, row.label_time, row.source)
    first = row.label_order is None
    batch.dirty(row)
    row.label_order, row.label_time, row.source, row.label = said.order, said.label_time, said.source, said.label
    if same:
        return "duplicate"
    if said.label is None and previous is None:
        return "retracted"
    if row.split is None:
        attributes = orjson.loads(row.attributes) if row.attributes else {}
        entry = batch.counts.class_of(task, class_name(said.label))
        row.split = batch.split(task, split_key(task.split, row.key, attributes), entry)
    if row.seq:
        row.revision += 1
    batch.recount(task, row, (previous, False))
    kind = ChangeKind.LABEL if previous is None else ChangeKind.RETRACT if said.label is None else ChangeKind.REVISE
    batch.change(task, row, kind, previous)
    if kind is ChangeKind.RETRACT:
        return "retracted"
    return "late_label" if first else "revision"


def _erase(batch: Batch, task: TaskCount, row: Row | None, gone: int, digest: bytes, event: Event) -> str:
    outbox.forget(batch.connection, event.task, event.id)
    if row is None:
        if gone == ERASED:
            return "duplicate"
        batch.bury(digest, ERASED)
        pending.drop(batch.connection, task, digest)
        return "erased"
    if row.erased:
        return "duplicate"
    row.erased = 1
    batch.dirty(row)
    batch.recount(task, row, (row.label, False))
    task.events -= 1
    if row.label is not None:
        batch.change(task, row, ChangeKind.ERASE, row.label)
    return "erased"


def _key(arrival: Arrival) -> bytes:
    if arrival.key is None:
        raise StoreError(f"event {arrival.event.id!r} of task {arrival.event.task!r} has an input but no key")
    return arrival.key
