"""The event: what flows through everything. Not a Kafka record, and free of torch.

``Event`` is what a decoder makes of a record; ``StoredEvent`` is what the buffer keeps of it.
The JSON forms are in docs/reference/events.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

LabelValue = str | float | tuple[str, ...]
"""str: sequence class or generated text; float: regression; tuple: multi-label, or one per token."""


class Origin(NamedTuple):
    """Where in the stream an event stood. Orders revisions after ``label_time``."""

    topic: str
    partition: int
    offset: int


class Split(StrEnum):
    TRAIN = "train"
    VALIDATION = "validation"
    HOLDOUT = "holdout"


class Op(StrEnum):
    """What an event asks of the buffer."""

    UPSERT = "upsert"
    """Store the input and, where there is one, the label."""
    RETRACT = "retract"
    """``"label": null``: the label is withdrawn, the input stays."""
    DELETE = "delete"
    """``"op": "delete"``: erase the event of that id."""


@dataclass(frozen=True, slots=True)
class Input:
    """What a model reads: exactly one of ``text`` and ``tokens``; ``text_pair`` only beside ``text``."""

    text: str | None = None
    text_pair: str | None = None
    tokens: tuple[str, ...] | None = None


class Event(NamedTuple):
    """One business event (a tuple: ingest makes one per record, and that is four times as fast).

    ``time`` and ``label_time`` are seconds since the epoch (UTC). ``input`` is None where a label,
    a retraction or a deletion comes alone. ``label`` is None in a request.
    ``group`` is read by backtests only.
    """

    id: str
    task: str
    op: Op = Op.UPSERT
    time: float | None = None
    input: Input | None = None
    label: LabelValue | None = None
    label_time: float | None = None
    source: str = ""
    attributes: Mapping[str, str] = MappingProxyType({})
    group: str | None = None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as the buffer holds it.

    ``key`` (16 bytes) is the hash of the normalised input: texts that normalise alike share it,
    and with it their split and their place in a fast head. ``revision`` counts label and input
    revisions from 0.
    """

    id: str
    task: str
    time: float
    input: Input
    key: bytes
    split: Split
    label: LabelValue | None = None
    label_time: float | None = None
    source: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    seq: int = 0
    revision: int = 0


class ChangeKind(StrEnum):
    """What a change did to an event's label, as the fast learner must fold it."""

    LABEL = "label"
    """The event has a label for the first time (or again, after a retraction)."""
    REVISE = "revise"
    """Another label: ``previous_label`` is taken out, ``event.label`` goes in."""
    RETRACT = "retract"
    """``previous_label`` is taken out; ``event.label`` is None."""
    INPUT = "input"
    """Another input under the same id: ``previous_key`` and ``previous_input`` are taken out."""
    ERASE = "erase"
    """The event was erased: taken out, then purged once every head has passed this change."""


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the buffer's change log, in the order of ``seq`` (from 1, growing, gaps allowed).

    ``event`` is the event *as of this change* (label and input then, not now), so that folding the
    log from the start gives the same answer at any later time.
    """

    seq: int
    kind: ChangeKind
    event: StoredEvent
    previous_label: LabelValue | None = None
    previous_key: bytes | None = None
    previous_input: Input | None = None
