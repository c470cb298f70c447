"""The fields of an event as plain JSON values, strictly typed, and the event that they make.

Every decoder ends here, so that the same bounds hold for all of them. Reasons of DecodeError: no_value, not_json,
not_object, missing_field, wrong_type, wrong_value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NoReturn

import orjson

from daemon.errors import DecodeError
from daemon.events import Event, Input, LabelValue, Op

MAX_ID_CHARS = 512
MAX_NAME_CHARS = 256
MAX_ATTRIBUTES = 64
MAX_SHOWN_CHARS = 60

Fields = Mapping[str, Any]
_UNUSUAL = frozenset({"op", "text_pair", "tokens", "group"})


def read_object(data: bytes | str | None, what: str = "the record's value") -> dict[str, Any]:
    """One JSON object. ``what`` is what messages call it."""
    if data is None:
        raise DecodeError("no_value", f"{what} is missing; an event is one JSON object")
    try:
        found = orjson.loads(data)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise DecodeError("not_json", f"not JSON: {error}") from None
    return as_object(found)


def as_object(found: object) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise DecodeError("not_object", f"a JSON {kind_of(found)}; an event is one JSON object")
    return found


def make_event(fields: Fields, default_task: str | None, time: float | None, label_time: float | None) -> Event:
    """The event of ``fields`` (the names of docs/reference/events.md; unknown ones are ignored).

    Its times (seconds since the epoch) are given beside them, since every envelope has its own form of time.
    ``default_task`` stands in for a task that is missing.
    """
    return _usual(fields, default_task, time, label_time) or _any(fields, default_task, time, label_time)


def _usual(fields: Fields, default_task: str | None, time: float | None, label_time: float | None) -> Event | None:
    """What :func:`_any` makes of a text with or without a text label, found in a third of the time; else None."""
    get = fields.get
    identity, task, text, source = get("id"), get("task", default_task), get("text"), get("source", "")
    if (
        type(identity) is str
        and type(task) is str
        and type(text) is str
        and type(source) is str
        and time is not None
        and 0 < len(identity) <= MAX_ID_CHARS
        and 0 < len(task) <= MAX_NAME_CHARS
        and len(source) <= MAX_NAME_CHARS
        and _UNUSUAL.isdisjoint(fields)
        and (type(label := get("label")) is str or "label" not in fields)
    ):
        attributes = _attributes(fields) if "attributes" in fields else {}
        return Event(identity, task, Op.UPSERT, time, Input(text), label, label_time, source, attributes)
    return None


def _any(fields: Fields, default_task: str | None, time: float | None, label_time: float | None) -> Event:
    identity = read_text(fields, "id", MAX_ID_CHARS)
    if identity is None:
        missing("id", "with task it says which event this is")
    task = read_text(fields, "task", MAX_NAME_CHARS) or default_task
    if task is None:
        missing("task", "it may be left out only while one task is configured")
    value, op, label = _input(fields), _op(fields), None
    if op is not Op.DELETE and "label" in fields:
        label = _label(fields["label"])
        op = Op.UPSERT if label is not None else Op.RETRACT
    if op is Op.UPSERT and value is None and label is None:
        missing("text", "an event brings an input, a label, or both")
    if op is not Op.DELETE and value is not None and time is None:
        missing("time", "it may be left out only where a label comes alone")
    return Event(
        id=identity,
        task=task,
        op=op,
        time=time,
        input=value,
        label=label,
        label_time=label_time,
        source=read_text(fields, "source", MAX_NAME_CHARS, empty=True) or "",
        attributes=_attributes(fields),
        group=read_text(fields, "group", MAX_NAME_CHARS, empty=True),
    )


def read_text(fields: Fields, name: str, limit: int | None = None, *, empty: bool = False) -> str | None:
    """The string under ``name``; None where the field is absent."""
    if name not in fields:
        return None
    value = fields[name]
    if not isinstance(value, str):
        wrong_type(name, value, "a string")
    if not value and not empty:
        raise DecodeError("wrong_value", f"{name}: is empty")
    if limit is not None and len(value) > limit:
        raise DecodeError("wrong_value", f"{name}: {len(value)} characters; at most {limit}")
    return value


def _op(fields: Fields) -> Op:
    op = read_text(fields, "op")
    if op not in (None, Op.DELETE.value):
        raise DecodeError("wrong_value", f"op: {op[:MAX_SHOWN_CHARS]!r} is none; allowed: 'delete', or no op")
    return Op.UPSERT if op is None else Op.DELETE


def _input(fields: Fields) -> Input | None:
    text, pair = read_text(fields, "text", empty=True), read_text(fields, "text_pair", empty=True)
    tokens = _strings(fields["tokens"], "tokens") if "tokens" in fields else None
    if text is not None and tokens is not None:
        raise DecodeError("wrong_value", "text and tokens: an event has one of them")
    if pair is not None and text is None:
        missing("text", "text_pair stands beside it")
    return None if text is None and tokens is None else Input(text, pair, tokens)


def _label(value: object) -> LabelValue | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return _strings(value, "label")
    if isinstance(value, bool) or not isinstance(value, int | float):
        wrong_type("label", value, "a string, a number, a list of strings, or null")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise DecodeError("wrong_value", "label: is not a finite number")
    return number


def _strings(value: object, name: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        wrong_type(name, value, "a list of strings")
    for index, item in enumerate(value):
        if not isinstance(item, str):
            wrong_type(f"{name}[{index}]", item, "a string")
    return tuple(value)


def _attributes(fields: Fields) -> Mapping[str, str]:
    value = fields.get("attributes", {})
    if not isinstance(value, dict):
        wrong_type("attributes", value, "an object")
    if len(value) > MAX_ATTRIBUTES:
        raise DecodeError("wrong_value", f"attributes: {len(value)} of them; at most {MAX_ATTRIBUTES}")
    for name, item in value.items():
        if not isinstance(item, str):
            wrong_type(f"attributes.{name[:MAX_SHOWN_CHARS]}", item, "a string")
    return value


def missing(name: str, why: str) -> NoReturn:
    raise DecodeError("missing_field", f"{name}: is missing; {why}")


def wrong_type(name: str, value: object, wanted: str) -> NoReturn:
    raise DecodeError("wrong_type", f"{name}: must be {wanted}, not {describe(value)}")


def describe(value: object) -> str:
    """Kind and, of a scalar, the value, shortened: ``number 1042``."""
    kind = kind_of(value)
    if value is None or isinstance(value, dict | list):
        return kind
    if isinstance(value, int) and value.bit_length() > 64:
        return f"{kind} of more than 64 bits"
    return f"{kind} {shorten(repr(value[: MAX_SHOWN_CHARS + 1] if isinstance(value, str) else value))}"


def shorten(text: str, limit: int = MAX_SHOWN_CHARS) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def kind_of(value: object) -> str:
    return {dict: "object", list: "list", str: "string", bool: "boolean", int: "number", float: "number"}.get(
        type(value), "null"
    )
