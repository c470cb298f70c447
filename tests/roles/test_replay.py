"""Leaving labels out: by folding on without them, or by taking them out afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from daemon.events import Change, ChangeKind, Input, Split, StoredEvent
from daemon.roles.replay import lesson, replay
from daemon.update.eligible import Window

WINDOW = Window(10.0, 20.0)


def key(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()


def change(
    seq: int, kind: ChangeKind, label: str | None, at: float, text: str = "t", *, before: str = "", source: str = ""
) -> Change:
    event = StoredEvent("e", "support", 0.0, Input(text=text), key(text), Split.TRAIN, label, at, source, {}, seq)
    moved = kind is ChangeKind.INPUT
    return Change(seq, kind, event, None, key(before) if moved else None, Input(text=before) if moved else None)


def test_a_correction_left_out_leaves_the_label_of_before() -> None:
    log = [change(1, ChangeKind.LABEL, "right", 5), change(2, ChangeKind.REVISE, "wrong", 15)]
    assert [point.label for point in replay(log, [WINDOW])] == ["right"]
    assert [point.label for point in replay(log, [])] == ["wrong"]
    assert [point.label for point in replay(log, [Window(10, 20, active=False)])] == ["wrong"]


def test_a_label_after_the_window_counts() -> None:
    log = [change(1, ChangeKind.LABEL, "wrong", 15), change(2, ChangeKind.REVISE, "right", 20)]
    assert [point.label for point in replay(log, [WINDOW])] == ["right"]


def test_a_retraction_left_out_leaves_the_label() -> None:
    log = [change(1, ChangeKind.LABEL, "right", 5), change(2, ChangeKind.RETRACT, None, 15)]
    assert [point.label for point in replay(log, [WINDOW])] == ["right"]


def test_an_erasure_always_counts_and_suggestions_never_do() -> None:
    log = [change(1, ChangeKind.LABEL, "x", 5), change(2, ChangeKind.ERASE, "x", 15)]
    assert [point.label for point in replay(log, [WINDOW])] == [None]
    assert lesson(change(1, ChangeKind.LABEL, "x", 5, source="prediction"), []) is None


STEPS = st.lists(st.tuples(st.sampled_from("abr"), st.integers(0, 29), st.sampled_from("tuv")), min_size=1, max_size=8)


@given(STEPS)
def test_folding_without_them_and_replaying_without_them_agree(steps: Sequence[tuple[str, int, str]]) -> None:
    # Given the log of one event: labels, retractions and other inputs at any times
    log: list[Change] = []
    text, label = steps[0][2], None
    for seq, (what, at, new_text) in enumerate(steps, start=1):
        if what == "r" and label is not None:
            log.append(change(seq, ChangeKind.RETRACT, None, at, text))
            label = None
        elif what == "r":
            continue
        elif new_text != text and label is not None:
            log.append(change(seq, ChangeKind.INPUT, label, log[-1].event.label_time or 0.0, new_text, before=text))
            text = new_text
        else:
            log.append(change(seq, ChangeKind.REVISE if label else ChangeKind.LABEL, what, at, text))
            label = what
    # When it is folded as the fast learner folds it
    members: dict[bytes, object] = {}
    for found in log:
        taught = lesson(found, [WINDOW])
        if taught is not None:
            members.pop(found.previous_key or found.event.key, None)
            if taught.label is not None:
                members[found.event.key] = taught.label
    # Then that is what replaying it says
    points = replay(log, [WINDOW])
    assert {point.key: point.label for point in points if point.label is not None} == members
    assert {point.key for point in points} >= {found.event.key for found in log}
