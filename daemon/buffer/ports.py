"""The durable store of events: what the ingest role writes and the learner reads.

``tests/buffer/contract.py`` is the suite that every implementation passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from daemon.events import Change, Event, LabelValue, Origin, Split, StoredEvent

Partition = tuple[str, int]
"""(topic, partition)"""


class Arrival(NamedTuple):
    """A decoded and validated event with what the buffer cannot know by itself.

    ``key`` is the 16-byte hash of the normalised input (``tasks.schema``), None where the event has
    no input; ``record_time`` (seconds) is the default for ``label_time``.
    """

    event: Event
    origin: Origin
    record_time: float
    key: bytes | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record on its way to the dead-letter topic; its identity is ``origin``.

    ``value`` is None for a record over the size limit (its size and hash are in ``headers``).
    """

    origin: Origin
    timestamp: float
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    reason: str


class OutboxSize(NamedTuple):
    """Letters that wait for their topic, and the bytes of their keys, values and headers."""

    letters: int
    bytes: int


@dataclass(frozen=True, slots=True)
class AppendReport:
    """What one append did. ``outcomes`` counts (task, outcome), outcome being one of
    stored, duplicate, revision, late_label, dead_lettered, retracted, erased, pending, ignored."""

    outcomes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    last_seq: int = 0


@dataclass(frozen=True, slots=True)
class BufferStats:
    """Counts of one task. ``events`` includes unlabelled ones; ``labels`` counts labelled train rows."""

    events: int
    labelled: Mapping[Split, int]
    labels: Mapping[str, int]
    pending_labels: int
    last_seq: int
    expired_labels: int = 0
    """Labels that waited longer than ``buffer.pending_expiry_s`` for their event and were dropped."""


class BufferWriter(Protocol):
    """What ingest holds. One writer at a time (``lock.ingest``)."""

    def positions(self) -> Mapping[Partition, int]:
        """Next offset to be read, per partition."""

    def identities(self) -> Mapping[str, str]:
        """topic -> identity stored with the positions."""

    def append(
        self,
        arrivals: Sequence[Arrival],
        positions: Mapping[Partition, tuple[int | None, int]],
        dead_letters: Sequence[DeadLetter] = (),
        identities: Mapping[str, str] | None = None,
        meanwhile: Callable[[], object] | None = None,
    ) -> AppendReport:
        """One transaction: events, positions and outbox, all or nothing.

        ``meanwhile`` is called once, on this thread, while the transaction is written out and synced; the call
        returns when both have ended. It may ask for :meth:`label_counts` (they are those of this append), of
        nothing else here. What it raises is raised once the transaction has ended, after whatever ended that.

        Guarantees:

        1. ``positions`` maps a partition to (expected, next). Where the stored position is not
           ``expected`` (None: not stored yet), nothing is written and PositionConflict is raised.
        2. When it returns, everything is on disk (``synchronous=FULL``).
        3. (task, id) is unique, whatever is sent again.

        Raises StoreFull when there is no room: nothing was written and it can be tried again.
        """

    def outbox(self, limit: int, *, after: int = 0) -> Sequence[tuple[int, DeadLetter]]:
        """Dead letters not yet acknowledged by their topic, oldest first, with their numbers; those numbered
        above ``after``, and no more than a few megabytes of them (but one)."""

    def outbox_size(self) -> OutboxSize: ...

    def acknowledge(self, numbers: Sequence[int]) -> None:
        """Take acknowledged dead letters out of the outbox."""

    def label_counts(self, task: str) -> Mapping[str, int]:
        """Class name -> rows, over all splits: what a label policy asks."""

    def maintain(self, passed: Mapping[str, int]) -> None:
        """Bounded housekeeping: retention, expiry of pending labels, purge of erased events.

        ``passed`` maps a task to the ``seq`` that every kept HeadState of it has passed: erased
        events go once their change is not after it.
        """

    def make_room(self) -> bool:
        """Whether there is room for more events: the buffer is not over a quarter above ``buffer.max_bytes``.

        Where it is, events are evicted first (a bounded number), whatever heads have passed. Costs next to
        nothing while there is room.
        """

    def close(self) -> None: ...


class BufferReader(Protocol):
    """What the learner, the CLI and HTTP hold. Any number of them, beside the writer."""

    def tail(self, task: str, cursor: int, limit: int) -> Sequence[Change]:
        """Changes of ``task`` after ``cursor`` (a ``seq``; 0 for all), oldest first."""

    def last_seq(self, task: str) -> int: ...

    def sample(
        self, task: str, n: int, *, balanced: bool, seed: int, before_seq: int | None = None
    ) -> Sequence[StoredEvent]:
        """At most ``n`` distinct labelled train events, uniform over events or over classes,
        without a scan. The same seed on the same content gives the same events."""

    def recent(
        self, task: str, n: int, *, half_life: int, seed: int, before_seq: int | None = None
    ) -> Sequence[StoredEvent]:
        """The same, in the order drawn, the chance of an event halving with every ``half_life`` events that
        got their label after it (and none from ten half-lives on, where there are ``n`` newer ones)."""

    def reservoir(self, task: str, n: int, *, before_seq: int | None = None) -> Sequence[StoredEvent]:
        """The same, uniform over events, and the same ones every time: each keeps its place until events that
        come push it out. The first of a larger sample are the smaller one."""

    def labelled(
        self, task: str, split: Split, *, after_seq: int = 0, before_seq: int | None = None, limit: int
    ) -> Sequence[StoredEvent]:
        """Labelled events with current labels, the newest ``limit`` of (after_seq, before_seq],
        by the ``seq`` of the event's last label change, oldest first."""

    def get(self, task: str, event_id: str) -> StoredEvent | None: ...

    def labelled_between(self, task: str, since: float, until: float) -> Iterator[Sequence[Change]]:
        """The whole log, oldest first, of each kept train event that got a label (or lost it) at a
        ``label_time`` in [since, until). Reads the task's log once: for rare questions."""

    def last_erasure(self, task: str) -> int:
        """The ``seq`` of the last erasure whose text is not purged yet, 0 where there is none."""

    def stats(self, task: str) -> BufferStats: ...

    def export(self, task: str | None = None) -> Iterator[StoredEvent]:
        """Every event that is kept, in the order of arrival."""

    def size_bytes(self) -> int:
        """Of the pages in use, without what waits in the outbox."""

    def outbox_size(self) -> OutboxSize: ...

    def outbox_reasons(self) -> Mapping[str, int]:
        """Letters that wait, by reason."""

    def outbox_letter(self, origin: Origin) -> DeadLetter | None:
        """The letter of one place, while it waits."""

    def close(self) -> None: ...


def label_text(label: LabelValue) -> str:
    """The class name under which a label is counted and balanced ("" for numbers)."""
    if isinstance(label, str):
        return label
    if isinstance(label, tuple):
        return "|".join(sorted(set(label)))
    return ""
