"""What the buffer's tests share: a clock, short ways to say events, and an opened buffer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from daemon.buffer.ports import AppendReport, Arrival, BufferReader, BufferWriter
from daemon.events import Change, ChangeKind, Event, Input, LabelValue, Op, Origin, Split, StoredEvent

TASK = "support"


class HandClock:
    """A clock that a test moves."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


def key_of(value: Input) -> bytes:
    return blake2b(repr(value).strip().lower().encode(), digest_size=16).digest()


def arrival(
    event_id: str,
    text: str | None = None,
    label: LabelValue | None = None,
    *,
    at: float = 0.0,
    offset: int = 0,
    op: Op = Op.UPSERT,
    label_time: float | None = None,
    task: str = TASK,
    attributes: dict[str, str] | None = None,
    partition: int = 0,
    source: str = "",
) -> Arrival:
    """An event whose record was written at second ``at``."""
    value = None if text is None else Input(text=text)
    event = Event(
        id=event_id,
        task=task,
        op=op,
        time=None if text is None else at,
        input=value,
        label=label,
        label_time=label_time,
        source=source,
        attributes=attributes or {},
    )
    return Arrival(event, Origin("labelled", partition, offset), at, None if value is None else key_of(value))


def retract(event_id: str, *, at: float = 0.0, offset: int = 0, label_time: float | None = None) -> Arrival:
    return arrival(event_id, op=Op.RETRACT, at=at, offset=offset, label_time=label_time)


def delete(event_id: str, *, offset: int = 0) -> Arrival:
    return arrival(event_id, op=Op.DELETE, offset=offset)


@dataclass
class Opened:
    """A buffer's two ends; ``put`` appends without positions."""

    writer: BufferWriter
    reader: BufferReader
    clock: HandClock
    reports: list[AppendReport] = field(default_factory=list)

    def put(self, *arrivals: Arrival) -> AppendReport:
        report = self.writer.append(arrivals, {})
        self.reports.append(report)
        return report

    def outcomes(self, *arrivals: Arrival) -> dict[str, int]:
        return {outcome: count for (_, outcome), count in self.put(*arrivals).outcomes.items()}

    def changes(self, task: str = TASK) -> Sequence[Change]:
        return self.reader.tail(task, 0, 1_000_000)

    def close(self) -> None:
        self.reader.close()
        self.writer.close()


def fold(changes: Iterable[Change]) -> dict[str, StoredEvent]:
    """What someone who folds every change believes to be labelled now; checks each step on the way."""
    members: dict[str, StoredEvent] = {}
    last = 0
    for change in changes:
        assert change.seq > last
        last = change.seq
        event, known = change.event, members.get(change.event.id)
        if change.kind is ChangeKind.LABEL:
            assert known is None
            assert change.previous_label is None
        else:
            assert known is not None, change
            assert known.split == event.split
        if change.kind in (ChangeKind.REVISE, ChangeKind.RETRACT, ChangeKind.ERASE):
            assert known is not None
            assert change.previous_label == known.label
            assert event.input == known.input
        if change.kind is ChangeKind.INPUT:
            assert known is not None
            assert (change.previous_input, change.previous_key) == (known.input, known.key)
            assert event.label == known.label
        if change.kind in (ChangeKind.RETRACT, ChangeKind.ERASE):
            del members[event.id]
        else:
            assert event.label is not None
            members[event.id] = event
    return members


def trained(members: dict[str, StoredEvent]) -> dict[str, tuple[Input, LabelValue | None]]:
    return {id_: (event.input, event.label) for id_, event in members.items() if event.split is Split.TRAIN}
