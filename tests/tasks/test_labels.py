from __future__ import annotations

import pytest

from daemon.config.task import Labels
from daemon.errors import DecodeError
from daemon.tasks.labels import admit, is_class


def test_open_lets_new_labels_in() -> None:
    admit("new", {}, Labels())
    admit(("new", "other"), {}, Labels())


def test_closed_lets_known_ones_in_only() -> None:
    closed = Labels(mode="closed", known=["a", "b"])
    admit("a", {}, closed)
    admit(("a", "b"), {}, closed)
    for label in ("c", ("a", "c")):
        with pytest.raises(DecodeError, match=r"'c' is not in labels\.known") as caught:
            admit(label, {"c": 5}, closed)
        assert caught.value.reason == "unknown_label"


def test_more_than_max_labels_are_refused_but_known_ones_go_on() -> None:
    few = Labels(max_labels=2, known=["a"])
    admit("b", {"a": 1}, few)
    admit("a", {"a": 1, "b": 1, "c": 1}, few)
    with pytest.raises(DecodeError, match=r"class number 3, labels\.max_labels is 2") as caught:
        admit("c", {"b": 1}, few)
    assert caught.value.reason == "too_many_labels"
    with pytest.raises(DecodeError):
        admit(("b", "c"), {"a|b": 1}, few)


def test_numbers_are_no_classes() -> None:
    admit(2.5, {}, Labels(mode="closed"))


def test_quarantine_waits_for_min_count() -> None:
    cfg = Labels(mode="quarantine", min_count=3, known=["a"])
    admit("typo", {}, cfg)
    assert [is_class("typo", n, cfg) for n in (0, 2, 3)] == [False, False, True]
    assert is_class("a", 0, cfg)
    assert is_class("typo", 0, Labels())
