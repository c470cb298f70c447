"""The torch-free half of tasks: validation, normalisation, the metric. Ingest and the gate use it.

A task type is registered in ``SCHEMAS`` here and in ``daemon.tasks.TASKS`` with its torch half.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Sequence

from daemon.errors import ConfigError, DecodeError
from daemon.events import Event, Input, LabelValue
from daemon.tasks.base import Floats, Metric, TaskSchema
from daemon.tasks.metrics import mean_score

MAX_LABEL_CHARS = 256
_HASH = hashlib.blake2b(digest_size=16)
_MARKED = bytes(33 if chr(code).isspace() and code != 32 else code for code in range(128)) + bytes(128)
"""ASCII with white space other than the space turned into something else: a text without any stays as it is."""


def normalise_text(text: str) -> str:
    """Unicode NFKC, runs of white space as one space, ends stripped; case kept."""
    if text.isascii():
        text = text.strip()
        data = text.encode()
        usual = data.translate(_MARKED) == data and "  " not in text  # isprintable takes three times as long
        return text if usual else " ".join(text.split())
    return " ".join(unicodedata.normalize("NFKC", text).split())


def validate_text(event: Event) -> None:
    """An input, where there is one, has a non-empty text. Raises DecodeError."""
    value = event.input
    if value is None:
        return
    if value.text is None:
        raise DecodeError("wrong_input", f"event {event.id!r}: task {event.task!r} reads text, not tokens")
    if not value.text.strip():
        raise DecodeError("empty_text", f"event {event.id!r}: text is empty")
    if value.text_pair is not None and not value.text_pair.strip():
        raise DecodeError("empty_text", f"event {event.id!r}: text_pair is empty")


class SequenceSchema:
    """One class for a text, or for a pair of texts. The metric is accuracy."""

    type = "sequence"
    metric = Metric("accuracy")
    has_classes = True

    def validate(self, event: Event) -> None:
        validate_text(event)
        label = event.label
        if label is None:
            return
        if not isinstance(label, str):
            raise DecodeError(
                "wrong_label", f"event {event.id!r}: label {label!r} must be a string for a sequence task"
            )
        if not label.strip():
            raise DecodeError("wrong_label", f"event {event.id!r}: label is empty")
        if len(label) > MAX_LABEL_CHARS:
            raise DecodeError(
                "wrong_label", f"event {event.id!r}: label has {len(label)} characters; at most {MAX_LABEL_CHARS}"
            )

    def normalise(self, value: Input) -> str:
        first = normalise_text(value.text or "")
        return first if value.text_pair is None else f"{first}\x1f{normalise_text(value.text_pair)}"

    def classes(self, label: LabelValue) -> Sequence[str]:
        return (label,) if isinstance(label, str) else ()

    def aggregate(self, units: Floats) -> float:
        return mean_score(units)


SCHEMAS: dict[str, Callable[[], TaskSchema]] = {"sequence": SequenceSchema}
"""type -> schema."""


def get_schema(type: str) -> TaskSchema:  # noqa: A002 - the name of the key in config.yaml
    """Raises ConfigError for a type there is not."""
    made = SCHEMAS.get(type)
    if made is None:
        raise ConfigError(f"type: {type!r} is no task type; allowed: {', '.join(sorted(SCHEMAS))}")
    return made()


def input_key(schema: TaskSchema, value: Input) -> bytes:
    """16 bytes that equal inputs share (BLAKE2b of the normalised input)."""
    hashed = _HASH.copy()  # half the time of a new one
    hashed.update(schema.normalise(value).encode())
    return hashed.digest()
