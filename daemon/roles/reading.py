"""One poll of the stream, sorted: what is to be stored of it, and how far it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from daemon.buffer.ports import Arrival, BufferWriter, DeadLetter, label_text
from daemon.config.task import Labels
from daemon.events import Event, LabelValue, Op
from daemon.roles.placing import Placing
from daemon.roles.probe import probe_time
from daemon.roles.sorting import Sorting
from daemon.stream.decoders import Decoder
from daemon.stream.ports import Record, TopicPartition
from daemon.tasks.base import TaskSchema
from daemon.tasks.labels import admit


class Read(NamedTuple):
    """``ends``: the next offset of each partition that brought something new. ``probes``: when each was produced,
    in seconds since the epoch."""

    arrivals: list[Arrival]
    letters: list[DeadLetter]
    probes: list[float]
    ends: dict[TopicPartition, int]


class Reading:
    """``decoders`` by topic, ``schemas`` and ``labels`` (the label policies; none: any label) by task."""

    def __init__(
        self,
        placing: Placing,
        buffer: BufferWriter,
        decoders: Mapping[str, Decoder],
        schemas: Mapping[str, TaskSchema],
        labels: Mapping[str, Labels],
        max_record_bytes: int,
    ) -> None:
        self._placing, self._buffer, self._labels = placing, buffer, labels
        self._sorting = Sorting(decoders, schemas, max_record_bytes, self._admit)
        self._known: dict[str, dict[str, int]] = {}  # task -> its labels, as stored and as read in this poll
        self._admitted: set[tuple[str, LabelValue]] = set()  # in this poll: who was let in once is let in again

    def sort(self, records: Sequence[Record]) -> Read:
        """What a poll brought. Raises what the source's bounds raise."""
        self._known.clear()
        self._admitted.clear()
        unseen, ends = self._placing.unseen(records)
        read = Read([], [], [], ends)
        for record in unseen:
            if record.headers and (produced := probe_time(record)) is not None:
                read.probes.append(produced)
                continue
            sorted_ = self._sorting.sort(record)
            if isinstance(sorted_, DeadLetter):
                read.letters.append(sorted_)
            else:
                read.arrivals.append(sorted_)
        return read

    def _admit(self, event: Event) -> None:
        label, task = event.label, event.task
        if label is None or (task, label) in self._admitted:
            return
        policy = self._labels.get(task)
        if policy is None or event.op is not Op.UPSERT:
            return
        known = self._known.get(task)
        if known is None:
            known = self._known[task] = dict(self._buffer.label_counts(task))
        admit(label, known, policy)
        known.setdefault(label_text(label), 1)
        self._admitted.add((task, label))
