"""An event as a row: how inputs, labels and places are written into SQLite and read back."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import orjson

from daemon.buffer.split import SPLITS, TRAIN
from daemon.events import Input, LabelValue, Origin, StoredEvent

Stored = str | float | bytes | None
"""A label in a column: str and float as they are, a tuple as JSON bytes, NULL for none."""

COLUMNS = [
    "row",
    "task",
    "digest",
    "id",
    "time",
    "text",
    "text_pair",
    "tokens",
    "key",
    "input_order",
    "attributes",
    "split",
    "label",
    "label_time",
    "label_order",
    "source",
    "class",
    "slot",
    "seq",
    "revision",
    "erased",
]


@dataclass(slots=True)
class Row:
    """One row of ``events`` (COLUMNS in order). ``split`` is None until a first label decides it;
    ``slot`` is its place in ``class_rows`` while it is a labelled train event."""

    row: int
    task: int
    digest: bytes
    id: str
    time: float
    text: str | None
    text_pair: str | None
    tokens: str | None
    key: bytes
    input_order: bytes
    attributes: str | None
    split: int | None
    label: Stored
    label_time: float | None
    label_order: bytes | None
    source: str
    class_: int
    slot: int | None
    seq: int
    revision: int
    erased: int

    def values(self) -> tuple[Any, ...]:
        return (
            self.row, self.task, self.digest, self.id, self.time, self.text, self.text_pair, self.tokens,
            self.key, self.input_order, self.attributes, self.split, self.label, self.label_time,
            self.label_order, self.source, self.class_, self.slot, self.seq, self.revision, self.erased,
        )  # fmt: skip

    @property
    def trains(self) -> bool:
        return self.label is not None and self.split == TRAIN and not self.erased


EVENT_COLUMNS = "id, time, text, text_pair, tokens, key, split, label, label_time, source, attributes, seq, revision"
"""What :func:`stored_event` reads, in order."""


def stored_event(task: str, values: Sequence[Any]) -> StoredEvent:
    """An event without a label whose split is not decided yet reads as train: without a label it trains nothing."""
    id_, time, text, pair, tokens, key, split, label, label_time, source, attributes, seq, revision = values
    return StoredEvent(
        id=id_,
        task=task,
        time=time,
        input=read_input(text, pair, tokens),
        key=key,
        split=SPLITS[split or TRAIN],
        label=read_label(label),
        label_time=label_time if label is not None else None,
        source=source,
        attributes=orjson.loads(attributes) if attributes else {},
        seq=seq,
        revision=revision,
    )


def write_tokens(value: Input) -> str | None:
    return orjson.dumps(value.tokens).decode() if value.tokens is not None else None


def read_input(text: str | None, pair: str | None, tokens: str | None) -> Input:
    return Input(text, pair, tuple(orjson.loads(tokens)) if tokens is not None else None)


def write_attributes(attributes: Mapping[str, str]) -> str | None:
    return orjson.dumps(dict(attributes), option=orjson.OPT_SORT_KEYS).decode() if attributes else None


def write_label(label: LabelValue | None) -> Stored:
    if label is None or isinstance(label, str):
        return label
    if isinstance(label, tuple):
        return orjson.dumps(label)
    return float(label)


def read_label(stored: Stored) -> LabelValue | None:
    return tuple(orjson.loads(stored)) if isinstance(stored, bytes) else stored


def id_digest(task: str, event_id: str) -> bytes:
    """16 bytes that stand for (task, id) and outlive the event."""
    hashed = _task_hash(task).copy()
    hashed.update(event_id.encode("utf-8", "surrogatepass"))
    return hashed.digest()


@lru_cache(maxsize=1024)
def _task_hash(task: str) -> blake2b:
    return blake2b(f"{task}\0".encode("utf-8", "surrogatepass"), digest_size=16)


def order_of(time: float, origin: Origin) -> bytes:
    """Bytes that compare as (time, topic, partition, offset) do."""
    # a positive double's bits with the highest one set (+0.0: no negative zero), a negative one's all turned
    moment = bytes(255 - byte for byte in _DOUBLE(time)) if time < 0 else _DOUBLE(-(time + 0.0))
    return moment + _place(origin.topic, origin.partition) + origin.offset.to_bytes(8, "big")


_DOUBLE = struct.Struct(">d").pack


@lru_cache(maxsize=4096)
def _place(topic: str, partition: int) -> bytes:
    return topic.encode() + b"\0" + partition.to_bytes(4, "big")
