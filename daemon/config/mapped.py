"""What no single key of a ``mapped`` decoder can show: what every record would fail on, or would quietly lose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from daemon.config.decoders import MappedDecoder
from daemon.config.expression import compile_expression, plain_path

Problem = tuple[str, object, str]
"""(key below the decoder, value, what is allowed)"""

RECORD_TIME = "time: {path: _record.timestamp, format: epoch_s}"


def mapped_problems(decoder: MappedDecoder, tasks: Sequence[str]) -> Iterator[Problem]:
    yield from _task(decoder, tasks)
    yield from _twice(decoder)
    if (decoder.text is not None or decoder.tokens is not None) and decoder.time is None:
        yield "time", None, f"an event with an input needs a time; that of the record: {RECORD_TIME}"
    if decoder.null_label == "retract" and not _has_plain_label(decoder):
        yield (
            "null_label",
            "retract",
            "needs a label that is a plain path, such as ticket.category: of another expression nobody can say whether "
            "its null was there",
        )


def _task(decoder: MappedDecoder, tasks: Sequence[str]) -> Iterator[Problem]:
    constant = decoder.constants.task
    if constant is not None and constant not in tasks:
        yield "constants.task", constant, f"is not configured; tasks: {', '.join(tasks)}"
    if constant is None and decoder.task is None and len(tasks) > 1:
        yield "task", None, f"{len(tasks)} tasks are configured; give its path, or constants: {{task: {tasks[0]}}}"


def _twice(decoder: MappedDecoder) -> Iterator[Problem]:
    for name in ("task", "label", "source", "op"):
        constant = getattr(decoder.constants, name)
        if constant is not None and getattr(decoder, name) is not None:
            yield f"constants.{name}", constant, f"{name} has a path too; only one of them can hold"
    for name in sorted(decoder.constants.attributes.keys() & decoder.attributes.keys()):
        yield f"constants.attributes.{name}", decoder.constants.attributes[name], "has a path too; only one can hold"


def _has_plain_label(decoder: MappedDecoder) -> bool:
    label = decoder.label
    if label is None:
        return False
    return plain_path(compile_expression(label if isinstance(label, str) else label.path)) is not None
