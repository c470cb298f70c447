"""Given labels that come, when both heads are asked before they learn them, then the better one gets the word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.errors import VersionCorrupt
from daemon.heads.blend import blend
from daemon.heads.tracking import FILE, TrackedBlend

LABELS = ("a", "b")


def sure(truth: str, by: float) -> NDArray[np.float64]:
    """[1, 2]: ``by`` on the truth."""
    return np.array([[by, 1 - by] if truth == "a" else [1 - by, by]])


def live(tracked: TrackedBlend, labels: int, *, tuned: float, fast: float) -> list[float]:
    found = []
    for number in range(labels):
        truth = LABELS[number % 2]
        tracked.see(sure(truth, tuned), LABELS, sure(truth, fast), LABELS, [truth])
        found.append(tracked.weight)
    return found


def test_it_begins_where_validation_put_it_and_moves_little_at_first() -> None:
    tracked = TrackedBlend(0.33)
    assert tracked.weight == 0.33
    # One wrong answer of the tuned head is no reason to silence it
    assert live(tracked, 1, tuned=0.1, fast=0.9)[0] >= 0.2


def test_a_tuned_head_that_is_left_behind_loses_the_word_and_wins_it_back() -> None:
    # Given a tuned head that was trusted
    tracked = TrackedBlend(0.9)
    # When the stream moves on and it is wrong where the fast head is right
    weights = live(tracked, 60, tuned=0.2, fast=0.8)
    # Then it is asked less with each label, and soon no more
    assert weights == sorted(weights, reverse=True)
    assert weights[-1] == 0.0
    # And what was long ago does not keep it silent
    assert live(tracked, 400, tuned=0.9, fast=0.6)[-1] == 1.0


def test_a_class_that_one_head_lacks_says_nothing_of_the_other() -> None:
    tracked = TrackedBlend(0.5)
    fast = np.array([[0.0, 0.0, 1.0]])
    tracked.see(sure("a", 0.9), LABELS, fast, (*LABELS, "new"), ["new"])
    tracked.see(sure("a", 0.9), LABELS, np.array([[1.0]]), ("b",), ["a"])
    assert tracked.weight == 0.5
    # And without a tuned head there is nothing to weigh
    tracked.see(np.zeros((1, 0)), (), np.array([[1.0]]), ("b",), ["b"])
    assert tracked.weight == 0.5


def test_losses_are_those_of_the_answers_that_are_given() -> None:
    # Given a fast head that knows a class more, and rows that its other classes share
    rng = np.random.default_rng(0)
    tuned, fast = rng.dirichlet([1, 1], 200), rng.dirichlet([1, 1, 1], 200)
    truth = [LABELS[i] for i in rng.integers(0, 2, 200)]
    tracked = TrackedBlend(0.5)
    tracked.see(tuned, LABELS, fast, (*LABELS, "new"), truth)
    # When every weight is tried on the answers themselves
    fades = (1 - 1 / 200) ** np.arange(199, -1, -1)

    def lost(weight: float) -> float:
        mixed, labels = blend(tuned, LABELS, fast, (*LABELS, "new"), weight)
        odds = mixed[np.arange(200), [labels.index(label) for label in truth]]
        return float((-np.log(odds) * fades).sum() + 10 * fades[0] * (1 - 1 / 200) * (weight - 0.5) ** 2)

    # Then none is better than the one that is kept
    assert lost(tracked.weight) == pytest.approx(min(lost(w) for w in np.linspace(0, 1, 21)))


def test_it_is_kept_beside_the_head_state(tmp_path: Path) -> None:
    tracked = TrackedBlend(0.9)
    live(tracked, 20, tuned=0.3, fast=0.7)
    tracked.save(tmp_path / "heads")
    again = TrackedBlend.load(tmp_path / "heads", 0.9)
    assert again.weight == tracked.weight < 0.9
    assert live(again, 5, tuned=0.3, fast=0.7) == live(tracked, 5, tuned=0.3, fast=0.7)
    # And one that saw nothing begins where it was told to
    TrackedBlend(0.33).save(tmp_path)
    assert TrackedBlend.load(tmp_path, 0.7).weight == 0.33
    assert TrackedBlend.load(tmp_path / "none", 0.7).weight == 0.7


@pytest.mark.parametrize("content", [b"", b"[]", b'{"weight": null}', b'{"weight": null, "losses": [1, 2]}'])
def test_a_broken_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(VersionCorrupt, match="delete it"):
        TrackedBlend.load(tmp_path, 0.5)
