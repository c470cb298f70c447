"""Our own JSON form of an event (docs/reference/events.md), strictly typed: nothing is coerced."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NoReturn

import orjson

from daemon.errors import DecodeError
from daemon.events import Event, Input, LabelValue, Op
from daemon.stream.ports import Record
from daemon.stream.rfc3339 import parse_time

MAX_ID_CHARS = 512
MAX_NAME_CHARS = 256
MAX_ATTRIBUTES = 64

Fields = Mapping[str, Any]


class JsonEvents:
    """Decodes one JSON object a record. Unknown fields are ignored; ``default_task`` stands in for ``task``."""

    kind = "json"

    def __init__(self, default_task: str | None = None) -> None:
        self._default_task = default_task

    def decode(self, record: Record) -> Event:
        """Raises DecodeError and nothing else.

        Reasons: no_value, not_json, not_object, missing_field, wrong_type, wrong_value, wrong_time.
        """
        if record.value is None:
            raise DecodeError("no_value", "the record has no value; an event is one JSON object")
        try:
            fields = orjson.loads(record.value)
        except (orjson.JSONDecodeError, RecursionError) as error:
            raise DecodeError("not_json", f"not JSON: {error}") from None
        if not isinstance(fields, dict):
            raise DecodeError("not_object", f"a JSON {_kind(fields)}; an event is one JSON object")
        return self._event(fields)

    def _event(self, fields: Fields) -> Event:
        identity = _text(fields, "id", MAX_ID_CHARS)
        if identity is None:
            _missing("id", "with task it says which event this is")
        task = _text(fields, "task", MAX_NAME_CHARS) or self._default_task
        if task is None:
            _missing("task", "it may be left out only while one task is configured")
        time, label_time = _time(fields, "time"), _time(fields, "label_time")
        value, op, label = _input(fields), _op(fields), None
        if op is not Op.DELETE and "label" in fields:
            label = _label(fields["label"])
            op = Op.UPSERT if label is not None else Op.RETRACT
        if op is Op.UPSERT and value is None and label is None:
            _missing("text", "an event brings an input, a label, or both")
        if op is not Op.DELETE and value is not None and time is None:
            _missing("time", "it may be left out only where a label comes alone")
        return Event(
            id=identity,
            task=task,
            op=op,
            time=time,
            input=value,
            label=label,
            label_time=label_time,
            source=_text(fields, "source", MAX_NAME_CHARS, empty=True) or "",
            attributes=_attributes(fields),
            group=_text(fields, "group", MAX_NAME_CHARS, empty=True),
        )


def _text(fields: Fields, name: str, limit: int | None = None, *, empty: bool = False) -> str | None:
    """The string under ``name``; None where the field is absent."""
    if name not in fields:
        return None
    value = fields[name]
    if not isinstance(value, str):
        _wrong_type(name, value, "a string")
    if not value and not empty:
        raise DecodeError("wrong_value", f"{name}: is empty")
    if limit is not None and len(value) > limit:
        raise DecodeError("wrong_value", f"{name}: {len(value)} characters; at most {limit}")
    return value


def _time(fields: Fields, name: str) -> float | None:
    text = _text(fields, name)
    return None if text is None else parse_time(text, name)


def _op(fields: Fields) -> Op:
    op = _text(fields, "op")
    if op not in (None, Op.DELETE.value):
        raise DecodeError("wrong_value", f"op: {op[:60]!r} is none; allowed: 'delete', or no op")
    return Op.UPSERT if op is None else Op.DELETE


def _input(fields: Fields) -> Input | None:
    text, pair = _text(fields, "text", empty=True), _text(fields, "text_pair", empty=True)
    tokens = _strings(fields["tokens"], "tokens") if "tokens" in fields else None
    if text is not None and tokens is not None:
        raise DecodeError("wrong_value", "text and tokens: an event has one of them")
    if pair is not None and text is None:
        _missing("text", "text_pair stands beside it")
    return None if text is None and tokens is None else Input(text, pair, tokens)


def _label(value: object) -> LabelValue | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return _strings(value, "label")
    if isinstance(value, bool) or not isinstance(value, int | float):
        _wrong_type("label", value, "a string, a number, a list of strings, or null")
    if not math.isfinite(value):
        raise DecodeError("wrong_value", "label: is not a finite number")
    return float(value)


def _strings(value: object, name: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        _wrong_type(name, value, "a list of strings")
    for index, item in enumerate(value):
        if not isinstance(item, str):
            _wrong_type(f"{name}[{index}]", item, "a string")
    return tuple(value)


def _attributes(fields: Fields) -> Mapping[str, str]:
    value = fields.get("attributes", {})
    if not isinstance(value, dict):
        _wrong_type("attributes", value, "an object")
    if len(value) > MAX_ATTRIBUTES:
        raise DecodeError("wrong_value", f"attributes: {len(value)} of them; at most {MAX_ATTRIBUTES}")
    for name, item in value.items():
        if not isinstance(item, str):
            _wrong_type(f"attributes.{name[:60]}", item, "a string")
    return value


def _missing(name: str, why: str) -> NoReturn:
    raise DecodeError("missing_field", f"{name}: is missing; {why}")


def _wrong_type(name: str, value: object, wanted: str) -> NoReturn:
    raise DecodeError("wrong_type", f"{name}: must be {wanted}, not {_kind(value)}")


def _kind(value: object) -> str:
    return {dict: "object", list: "list", str: "string", bool: "boolean", int: "number", float: "number"}.get(
        type(value), "null"
    )
