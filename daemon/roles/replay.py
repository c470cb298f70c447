"""What a change means for a fast head, and what an event would count for had some labels never come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from daemon.events import Change, ChangeKind, Input, LabelValue
from daemon.update.eligible import SUGGESTION, Window, left_out


class Lesson(NamedTuple):
    """Under its current input the event now counts for ``label`` (None: for nothing)."""

    label: LabelValue | None


class Standpoint(NamedTuple):
    """An event under one input: ``label`` None where it counts for nothing there."""

    key: bytes
    input: Input
    label: LabelValue | None


def lesson(change: Change, windows: Sequence[Window]) -> Lesson | None:
    """None where the change is passed over: a label, its correction or its retraction that a window leaves out,
    or a suggestion of our own. Another input always moves the event; an erasure always counts."""
    if change.kind is ChangeKind.ERASE:
        return Lesson(None)
    suggestion = change.event.source == SUGGESTION and change.kind is not ChangeKind.RETRACT
    if suggestion or left_out(windows, change.event.label_time):
        return Lesson(None) if change.kind is ChangeKind.INPUT else None
    return Lesson(change.event.label)


def replay(changes: Sequence[Change], windows: Sequence[Window]) -> Sequence[Standpoint]:
    """``changes``: all of one event, oldest first. Every input it had, and the label it counts for after the
    last change; only the latest input can have one."""
    label: LabelValue | None = None
    inputs: dict[bytes, Input] = {}
    for change in changes:
        if change.previous_key is not None and change.previous_input is not None:
            inputs[change.previous_key] = change.previous_input
        inputs.pop(change.event.key, None)
        inputs[change.event.key] = change.event.input
        found = lesson(change, windows)
        if found is not None:
            label = found.label
    latest = next(reversed(inputs), None)
    return [Standpoint(key, value, label if key == latest else None) for key, value in inputs.items()]
