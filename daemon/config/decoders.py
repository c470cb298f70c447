"""The configuration's part ``stream.inputs[].decoder``: how a record becomes an event."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from daemon.config.expression import compile_expression
from daemon.config.section import Section

TimeFormat = Literal["rfc3339", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns"]


def _compiles(text: str) -> str:
    try:
        compile_expression(text)
    except ValueError as error:
        raise PydanticCustomError("expression", "{problem}", {"problem": str(error)}) from None
    return text


def _form(value: object) -> str:
    return "[mapping]" if isinstance(value, dict | Section) else "[expression]"


Expression = Annotated[str, AfterValidator(_compiles)]
"""JMESPath over the record's value."""


class JsonDecoder(Section):
    """Our own JSON form of an event."""

    kind: Literal["json"] = "json"


class CloudEventsDecoder(Section):
    """CloudEvents 1.0 with our JSON form as its data, structured or binary, whichever a record is. What the data says
    itself wins over the envelope."""

    kind: Literal["cloudevents"] = "cloudevents"
    id_from: Literal["id", "subject"] = "id"
    """The attribute that is the event's ``id`` where the data has none. ``subject`` where events of one thing, such as
    a ticket and later its label, are CloudEvents with ids of their own."""
    task_from: Literal["data", "type", "subject", "source"] = "data"
    """The attribute that names the task where the data does not; ``data``: none does."""
    task_names: dict[str, str] = Field(default={})
    """Value of that attribute: name of the task. Empty: the value is the name."""
    source_from: Literal["data", "source"] = "data"
    """The attribute that says who gave the label where the data does not; ``data``: none does, since a CloudEvent's
    source is the system that sent it."""


class TextPath(Section):
    """A text with what to coerce: ``id``, ``task``, ``text``, ``text_pair``, ``tokens``, ``source``, ``group`` and
    each of ``attributes`` may be a path alone, or this."""

    path: Expression
    """JMESPath over the record's value."""
    coerce: Literal["string"] | None = None
    """``string``: a number or a boolean becomes text, as JSON writes it."""


class LabelPath(Section):
    """A label with what to coerce; a path alone does as well."""

    path: Expression
    """JMESPath over the record's value."""
    coerce: Literal["string", "number"] | None = None
    """``string``: a number or a boolean becomes text, as JSON writes it; ``number``: text becomes a number."""


class TimePath(Section):
    """``time`` and ``label_time`` may be a path alone, which gives RFC 3339, or this."""

    path: Expression
    """JMESPath over the record's value."""
    format: TimeFormat = "rfc3339"
    """RFC 3339 text, or a number of seconds, milli-, micro- or nanoseconds since 1970."""
    coerce: Literal["number"] | None = None
    """``number``: text becomes a number."""


Plain = Annotated[Expression, Tag("[expression]")]
TextField = Annotated[Plain | Annotated[TextPath, Tag("[mapping]")], Discriminator(_form)]
LabelField = Annotated[Plain | Annotated[LabelPath, Tag("[mapping]")], Discriminator(_form)]
TimeField = Annotated[Plain | Annotated[TimePath, Tag("[mapping]")], Discriminator(_form)]


class Constants(Section):
    task: str | None = None
    """The task of every record."""
    label: str | None = None
    """The label of every record."""
    source: str | None = None
    """Who gave the labels."""
    op: Literal["delete"] | None = None
    """Every record erases the event of its id."""
    attributes: dict[str, str] = Field(default={})
    """Attributes of every record."""


class MappedDecoder(Section):
    """Your own JSON: each field of an event by a JMESPath expression, or by ``{path, coerce}``. A path that gives null
    leaves the field out. ``_record`` in a path is the record beside its value: key, headers.NAME, timestamp, topic,
    partition, offset."""

    kind: Literal["mapped"]
    id: TextField
    """Which event this is."""
    task: TextField | None = None
    """Needed while several tasks are configured, here or in ``constants``."""
    time: TimeField | None = None
    """When it happened; a path alone gives RFC 3339."""
    text: TextField | None = None
    """The input."""
    text_pair: TextField | None = None
    """The second text of a pair."""
    tokens: TextField | None = None
    """A list of strings instead of a text."""
    label: LabelField | None = None
    """A string, a number, or a list of strings."""
    null_label: Literal["absent", "retract"] = "absent"
    """A label that is there and null: no label, or the label is withdrawn."""
    label_time: TimeField | None = None
    """When the label became known."""
    source: TextField | None = None
    """Who gave the label."""
    attributes: dict[str, TextField] = Field(default={})
    """Name of an attribute: its path."""
    op: Expression | None = None
    """``'delete'`` erases the event; null or false: no."""
    group: TextField | None = None
    """Read by backtests only."""
    constants: Constants = Constants()
    """What no record says."""


DecoderConfig = Annotated[JsonDecoder | CloudEventsDecoder | MappedDecoder, Field(discriminator="kind")]
