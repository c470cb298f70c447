"""CloudEvents 1.0 with our JSON form of an event as their data (the JSON format and the Kafka protocol binding).

How a record is told apart:

1. header ``content-type`` begins with ``application/cloudevents``: structured; only JSON is read, no batch;
2. else, with a header ``ce_specversion``: binary, ``content-type`` being that of the data;
3. else: structured without that header, which the binding allows: a JSON object with ``specversion``.

Header names are compared without case; of several of one name the last counts. Values are UTF-8, taken as they
stand: the Kafka binding, unlike that of HTTP, has no percent-encoding.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from daemon.config.decoders import CloudEventsDecoder
from daemon.errors import DecodeError
from daemon.events import Event
from daemon.stream.fields import Fields, as_object, make_event, missing, read_object, shorten, wrong_type
from daemon.stream.json_form import JsonEvents, read_time
from daemon.stream.own import is_own
from daemon.stream.ports import Headers, Record
from daemon.stream.rfc3339 import parse_time

PREFIX = "ce_"
MEDIA_TYPE = "application/cloudevents"
REQUIRED = ("id", "source", "type")
VERSION = "1.0"


@dataclass(frozen=True, slots=True)
class Envelope:
    """``attributes`` as they came, null and unknown ones included; ``data`` is an event in our JSON form."""

    attributes: Mapping[str, Any]
    data: Fields


class CloudEvents:
    """Missing fields of the data are filled from the envelope: id, time (of an event with an input; of a label that
    comes alone it is ``label_time``), and as configured task and source."""

    kind = "cloudevents"

    def __init__(self, cfg: CloudEventsDecoder, default_task: str | None = None) -> None:
        self._cfg, self._default_task, self._own = cfg, default_task, JsonEvents(default_task)

    def decode(self, record: Record) -> Event:
        """Raises DecodeError and nothing else.

        Reasons: those of the JSON form, not_cloudevent, wrong_specversion, wrong_content_type, unknown_task.
        """
        if is_own(record):
            return self._own.decode(record)
        envelope = read_envelope(record)
        attributes, fields = envelope.attributes, dict(envelope.data)
        if "id" not in fields:
            fields["id"] = _needed(attributes, self._cfg.id_from)
        if "task" not in fields and (task := self._task(attributes)) is not None:
            fields["task"] = task
        if "source" not in fields and self._cfg.source_from != "data":
            fields["source"] = _needed(attributes, self._cfg.source_from)
        time, label_time = read_time(fields, "time"), read_time(fields, "label_time")
        sent = attribute(attributes, "time")
        if sent is not None:
            moment = parse_time(sent, "time of the CloudEvent")
            if "text" in fields or "tokens" in fields:
                time = moment if time is None else time
            elif "label" in fields:
                label_time = moment if label_time is None else label_time
        return make_event(fields, self._default_task, time, label_time)

    def _task(self, attributes: Mapping[str, Any]) -> str | None:
        if self._cfg.task_from == "data":
            return None
        value, names = _needed(attributes, self._cfg.task_from), self._cfg.task_names
        if names and value not in names:
            raise DecodeError(
                "unknown_task",
                f"{self._cfg.task_from} of the CloudEvent: {shorten(value)!r} is not in decoder.task_names",
            )
        return names.get(value, value)


def read_envelope(record: Record) -> Envelope:
    headers = named(record.headers)
    content_type = _utf8("content-type", headers["content-type"]) if "content-type" in headers else None
    mode = _mode(content_type, headers)
    envelope = mode(record, headers, content_type)
    _check(envelope.attributes)
    return envelope


def named(headers: Headers) -> Mapping[str, bytes]:
    """name in lower case -> the last value of that name."""
    return {name.lower(): value for name, value in headers}


def attribute(attributes: Mapping[str, Any], name: str) -> str | None:
    """A text of the envelope; null counts as absent, as the JSON format says."""
    value = attributes.get(name)
    if value is None or isinstance(value, str):
        return value
    return wrong_type(f"{name} of the CloudEvent", value, "a string")


Mode = Callable[[Record, Mapping[str, bytes], str | None], Envelope]


def _mode(content_type: str | None, headers: Mapping[str, bytes]) -> Mode:
    if content_type is not None and _media_type(content_type).startswith(MEDIA_TYPE):
        return _structured
    return _binary if f"{PREFIX}specversion" in headers else _undeclared


def _structured(record: Record, headers: Mapping[str, bytes], content_type: str | None) -> Envelope:
    media_type = _media_type(content_type or "")
    if media_type.startswith(f"{MEDIA_TYPE}-batch"):
        raise DecodeError("wrong_content_type", "content-type: a batch of CloudEvents; send one event a record")
    if media_type != f"{MEDIA_TYPE}+json":
        raise DecodeError(
            "wrong_content_type",
            f"content-type: {shorten(media_type)!r} is not read; send {MEDIA_TYPE}+json, or binary mode",
        )
    _check_charset("content-type", content_type or "")
    return _envelope(read_object(record.value))


def _undeclared(record: Record, headers: Mapping[str, bytes], content_type: str | None) -> Envelope:
    found = read_object(record.value)
    if "specversion" not in found:
        raise DecodeError(
            "not_cloudevent",
            f"neither content-type {MEDIA_TYPE}+json, nor a header ce_specversion, nor specversion in the value; "
            "events without an envelope are read by decoder {kind: json}",
        )
    return _envelope(found)


def _binary(record: Record, headers: Mapping[str, bytes], content_type: str | None) -> Envelope:
    attributes = {
        name.removeprefix(PREFIX): _utf8(name, value) for name, value in headers.items() if name.startswith(PREFIX)
    }
    _check_data_type("content-type", content_type)
    return Envelope(attributes, read_object(record.value, "the data (the record's value)"))


def _envelope(found: dict[str, Any]) -> Envelope:
    _check_data_type("datacontenttype", attribute(found, "datacontenttype"))
    if "data" in found and "data_base64" in found:
        raise DecodeError("wrong_value", "data and data_base64: a CloudEvent has one of them")
    if "data" in found:
        return Envelope(found, as_object(found["data"]))
    if "data_base64" in found:
        return Envelope(found, read_object(_base64(found["data_base64"]), "data_base64"))
    raise DecodeError("no_value", "data of the CloudEvent is missing; it is an event in our JSON form")


def _base64(value: object) -> bytes:
    if not isinstance(value, str):
        wrong_type("data_base64", value, "a string")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DecodeError("wrong_value", f"data_base64: is not Base64: {error}") from None


def _check(attributes: Mapping[str, Any]) -> None:
    version = _needed(attributes, "specversion")
    if version != VERSION:
        raise DecodeError(
            "wrong_specversion", f"specversion of the CloudEvent: {shorten(version)!r}; {VERSION} is what is read"
        )
    for name in REQUIRED:
        _needed(attributes, name)


def _needed(attributes: Mapping[str, Any], name: str) -> str:
    value = attribute(attributes, name)
    if not value:
        missing(f"{name} of the CloudEvent", "it must be there and not empty")
    return value


def _check_data_type(name: str, content_type: str | None) -> None:
    if content_type is None:
        return
    subtype = _media_type(content_type).partition("/")[2]
    if subtype != "json" and not subtype.endswith("+json"):
        raise DecodeError(
            "wrong_content_type",
            f"{name}: {shorten(content_type)!r}: the data must be application/json, an event in our JSON form",
        )
    _check_charset(name, content_type)


def _check_charset(name: str, content_type: str) -> None:
    for parameter in content_type.split(";")[1:]:
        key, _, value = parameter.partition("=")
        charset = value.strip().strip('"').lower()
        if key.strip().lower() == "charset" and charset not in ("utf-8", "utf8", "us-ascii"):
            raise DecodeError("wrong_content_type", f"{name}: charset {shorten(charset)!r} is not read; send UTF-8")


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _utf8(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise DecodeError("wrong_value", f"header {shorten(name)}: is not UTF-8 text") from None
