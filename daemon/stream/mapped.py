"""The user's own JSON: each field of an event by a JMESPath expression. Nothing is coerced unless that is configured.

Expressions see the record's value, and under ``_record`` the record beside it: ``key``, ``headers`` (name -> text,
the last of a name), ``timestamp`` (seconds since the epoch), ``topic``, ``partition``, ``offset``. A key or header
that is not UTF-8 text is null there. A field ``_record`` of the value itself is hidden by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from daemon.config.decoders import MappedDecoder
from daemon.config.expression import RECORD, plain_path, reads_record
from daemon.errors import DecodeError
from daemon.events import Event, Op
from daemon.stream.fields import make_event, read_object
from daemon.stream.json_form import JsonEvents
from daemon.stream.mapping import MappedField, MappedTime
from daemon.stream.own import is_own
from daemon.stream.ports import Record

FIELDS: Mapping[str, str] = {
    "id": "text",
    "task": "text",
    "text": "text",
    "text_pair": "text",
    "tokens": "texts",
    "label": "label",
    "source": "text",
    "group": "text",
    "op": "flag",
}
"""Field of an event -> what it must be (``mapping.KINDS``)."""


class MappedEvents:
    """An expression that gives null leaves its field out; of an erasure only id and task are read. Thread-safe."""

    kind = "mapped"

    def __init__(self, cfg: MappedDecoder, default_task: str | None = None) -> None:
        """Raises ValueError for an expression that does not compile; the configuration has refused it before."""
        self._default_task, self._own = default_task, JsonEvents(default_task)
        given = {name: path for name in FIELDS if (path := getattr(cfg, name)) is not None}
        fields = {name: MappedField(name, path, FIELDS[name]) for name, path in given.items()}
        self._attributes = {
            name: MappedField(f"attributes.{name}", path, "text") for name, path in cfg.attributes.items()
        }
        self._times = {
            name: MappedTime(name, path) for name in ("time", "label_time") if (path := getattr(cfg, name)) is not None
        }
        mapped: list[MappedField | MappedTime] = [*fields.values(), *self._attributes.values(), *self._times.values()]
        self._with_record = any(reads_record(item.expression.compiled) for item in mapped)
        retracts = cfg.null_label == "retract" and "label" in fields
        self._label = plain_path(fields["label"].expression.compiled) if retracts else None
        self._op = fields.pop("op", None)
        self._identity = [field for name, field in fields.items() if name in ("id", "task")]
        self._fields = list(fields.values())
        self._constants = cfg.constants.model_dump(exclude={"attributes"}, exclude_none=True)
        self._constant_attributes = dict(cfg.constants.attributes)

    def decode(self, record: Record) -> Event:
        """Raises DecodeError and nothing else. Reasons: those of the JSON form, wrong_mapping."""
        if is_own(record):
            return self._own.decode(record)
        root: Mapping[str, Any] = read_object(record.value)
        if self._with_record:
            root = {**root, RECORD: _beside(record)}
        if self._erases(root):
            fixed = {name: value for name, value in self._constants.items() if name == "task"}
            erased = {**fixed, **self._read(self._identity, root), "op": Op.DELETE.value}
            return make_event(erased, self._default_task, None, None)
        fields: dict[str, Any] = {**self._constants, **self._read(self._fields, root)}
        if self._label is not None and "label" not in fields and _is_there(root, self._label):
            fields["label"] = None
        found = {name: value for name, field in self._attributes.items() if (value := field.read(root)) is not None}
        fields["attributes"] = {**self._constant_attributes, **found}
        times = {name: time.read(root) for name, time in self._times.items()}
        return make_event(fields, self._default_task, times.get("time"), times.get("label_time"))

    def _erases(self, root: Mapping[str, Any]) -> bool:
        return "op" in self._constants or (self._op is not None and bool(self._op.read(root)))

    def _read(self, fields: Sequence[MappedField], root: Mapping[str, Any]) -> dict[str, Any]:
        """``fields`` has the id first: without it nothing else is worth telling."""
        found = {}
        for field in fields:
            value = field.read(root)
            if value is not None:
                found[field.name] = value
            elif field.name == "id":
                raise DecodeError("missing_field", f"{field.expression.place}: gives null; an event needs an id")
        return found


def _is_there(root: Mapping[str, Any], path: Sequence[str]) -> bool:
    """Whether the last key of ``path`` exists."""
    node: Any = root
    for key in path:
        if not isinstance(node, dict) or key not in node:
            return False
        node = node[key]
    return True


def _beside(record: Record) -> Mapping[str, Any]:
    return {
        "key": _text(record.key),
        "headers": {name: _text(value) for name, value in record.headers},
        "timestamp": record.timestamp,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
    }


def _text(data: bytes | None) -> str | None:
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError:
        return None
