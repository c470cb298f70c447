"""Given labels that the model foretold or not, when many have come, then the share of the last ones is known."""

from __future__ import annotations

import pytest

from daemon.trust.errors import FEWEST, Errors


def test_a_few_labels_say_nothing() -> None:
    errors = Errors()
    for _ in range(FEWEST - 1):
        errors.see(True)
    assert errors.ratio is None


def test_what_was_long_ago_fades() -> None:
    # Given a model that was wrong for long
    errors = Errors()
    for _ in range(2000):
        errors.see(True)
    assert errors.ratio == pytest.approx(1.0)
    # When it is right for five hundred labels, then about a third of its errors still counts
    for _ in range(500):
        errors.see(False)
    assert errors.ratio == pytest.approx(0.37, abs=0.01)


def test_it_goes_on_where_it_was() -> None:
    errors = Errors()
    for number in range(300):
        errors.see(number % 4 == 0)
    again = Errors(**errors.dump())
    for one in (errors, again):
        one.see(True)
    assert again.ratio == errors.ratio
